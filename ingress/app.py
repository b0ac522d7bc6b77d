"""The Flask application: one route per source. A route verifies, reads, publishes, answers; rules live elsewhere."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from ingress import bitrix24, onec, robot
from ingress.accepting import Acceptor, Drain, NotAcceptedError, Place
from ingress.answers import (
    MAX_BODY_BYTES,
    Refusal,
    answer_http_error,
    answer_refusal,
    queue_unavailable,
    wrong_content_type,
)
from ingress.brackets import parse_brackets
from ingress.logs import make_logger, start_sentry
from ingress.metrics import Metrics, SpoolCollector
from ingress.metrics_exchange import ExchangeCollector
from ingress.openapi import build_openapi
from ingress.publisher import Publisher
from ingress.settings import Settings, load_settings
from ingress.spool import Spool
from sync_worker.contract import ChangeEvent, Ignored, Misfit, Reading, TaskMessage, event_message, misfit_message

Clock = Callable[[], datetime]
FORM = "application/x-www-form-urlencoded"
_PROBES = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
_MAX_LOGGED_PATH_CHARS = 100
_DRAIN_PATIENCE_SECONDS = 3.0

routes = Blueprint("ingress", __name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Ingress(Flask):
    """Flask with the ingress's parts in typed places."""

    def __init__(self, settings: Settings, publisher: Publisher, clock: Clock) -> None:
        super().__init__("ingress", static_folder=None)
        self.settings = settings
        self.clock = clock
        self.log = make_logger(settings.log_level)
        max_mb = settings.ingress_spool_max_mb
        self.spool = Spool(settings.ingress_spool, max_mb=max_mb) if max_mb else None
        self.acceptor = Acceptor(publisher, self.spool, log=self.log)
        self.drain = _make_drain(self) if self.spool else None
        self.exchange = ExchangeCollector(redis_url=settings.redis_url, broker_url=settings.broker_url)
        self.metrics = Metrics(
            self.exchange,
            SpoolCollector(self.acceptor.measure, max_bytes=max_mb * 1024 * 1024),
        )
        self.openapi = build_openapi()
        self.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1  # one more, see _read_body

    def close(self) -> None:
        """End the drain in good order. What is spooled stays for the next start."""
        if self.drain is not None:
            self.drain.stop()
        if self.spool is not None:
            self.spool.close()

    def log_exception(self, exc_info: Any) -> None:
        """The type and the place only: a message may quote what a stranger sent."""
        type_, _, frames = exc_info
        self.log.error("crashed", path=request.path, error=type_.__name__, frames=traceback.format_tb(frames))


def create_app(
    settings: Settings | None = None, *, publisher: Publisher | None = None, clock: Clock = utc_now
) -> Ingress:
    """The application, ready for a WSGI server. Errors: SettingsError, where `settings` are left to the environment."""
    if settings is None:
        settings = load_settings()
    if publisher is None:
        publisher = Publisher(settings.broker_url)
    start_sentry(settings.sentry_dsn)
    app = Ingress(settings, publisher, clock)
    app.register_blueprint(routes)
    app.register_error_handler(Refusal, answer_refusal)
    app.register_error_handler(HTTPException, answer_http_error)
    app.before_request(_start)
    app.after_request(_finish)
    if app.drain is not None:
        app.drain.start()
    return app


def _make_drain(app: Ingress) -> Drain:
    patient = Publisher(app.settings.broker_url, connections=1, patience_seconds=_DRAIN_PATIENCE_SECONDS)
    assert app.spool is not None  # noqa: S101
    return Drain(app.spool, patient, acceptor=app.acceptor)


@routes.post("/webhooks/bitrix24")
def bitrix24_webhook() -> tuple[Response, int]:
    app = _app()
    _require_content_type(FORM)
    form = bitrix24.parse_form(_read_body())
    tokens = app.settings.b24_application_tokens
    bitrix24.verify_token(form, tokens)
    return _accept_bitrix24(bitrix24.read_event(form, seen_at=g.seen_at, tokens=tokens))


@routes.route("/webhooks/bitrix24/robot", methods=["GET", "POST"])
def bitrix24_robot() -> tuple[Response, int]:
    tokens = _app().settings.b24_application_tokens
    body = _read_body()
    if body:
        _require_content_type(FORM)
    try:
        query, form = parse_brackets(request.query_string), parse_brackets(body)
    except ValueError as error:
        raise Refusal(400, "unreadable", "there are too many parameters; name the record, and little else") from error
    robot.verify_robot(query, form, tokens)
    return _accept_bitrix24(robot.read_robot(query, form, seen_at=g.seen_at, tokens=tokens))


@routes.post("/webhooks/1c")
def onec_webhook() -> tuple[Response, int]:
    _require_content_type("application/json")
    body = _read_body()
    onec.verify_signature(body, dict(request.headers), _app().settings.onec_webhook_secrets)
    events, rejected = onec.read_events(onec.parse_events(body), seen_at=g.seen_at)
    misfits = [item.misfit for item in rejected]
    place = _accept(events, misfits, source="onec")
    g.log = {"source": "onec", "outcome": place.value, "accepted": len(events), "rejected": len(rejected)}
    g.log |= _traces(events, misfits)
    return jsonify(accepted=len(events), rejected=[item.answer() for item in rejected]), 202


@routes.get("/healthz")
def healthz() -> Response:
    return jsonify(status="alive")


@routes.get("/readyz")
def readyz() -> Response:
    try:
        readiness = _app().acceptor.check()
    except NotAcceptedError as error:
        g.log = {"reason": str(error)}
        raise queue_unavailable() from error
    standing = _app().exchange.standing()
    if not readiness.troubles:
        return jsonify(status="ready", **standing)
    return jsonify(status="degraded", spooled=readiness.spooled, troubles=readiness.troubles, **standing)


@routes.get("/metrics")
def metrics() -> Response:
    return Response(_app().metrics.render(), content_type=CONTENT_TYPE_LATEST)


@routes.get("/openapi.json")
def openapi() -> Response:
    return jsonify(_app().openapi)


def _accept_bitrix24(reading: Reading) -> tuple[Response, int]:
    match reading:
        case ChangeEvent():
            place = _accept([reading], [], source="bitrix24")
            g.log = {"source": "bitrix24", "outcome": place.value, **_described(reading)}
            return jsonify(status=place.value, trace=reading.trace), 202
        case Misfit():
            _accept([], [reading], source="bitrix24")
            g.log = {"source": "bitrix24", "outcome": "kept", "trace": reading.trace}
            return jsonify(status="kept", trace=reading.trace), 202
        case Ignored():
            _app().metrics.count_ignored(reading.code)
            g.log = {"source": "bitrix24", "outcome": "ignored", "code": reading.code}
            return jsonify(status="ignored"), 202


def _accept(events: Sequence[ChangeEvent], misfits: Sequence[Misfit], *, source: str) -> Place:
    """All of one request in one go. Errors: a 503 refusal where neither broker nor spool took every one."""
    app = _app()
    messages: list[TaskMessage] = [*map(event_message, events), *map(misfit_message, misfits)]
    started = time.perf_counter()
    try:
        place = app.acceptor.accept(messages) if messages else Place.QUEUED
    except NotAcceptedError as error:
        g.log = {"source": source, "outcome": "refused", "reason": str(error)}
        raise queue_unavailable() from error
    finally:
        app.metrics.publish_seconds.observe(time.perf_counter() - started)
    if place is Place.SPOOLED:
        app.metrics.spooled.labels(source).inc(len(messages))
    for event in events:
        app.metrics.events.labels(source, event.entity.value).inc()
    for _ in misfits:
        app.metrics.misfits.labels(source).inc()
    return place


def _read_body() -> bytes:
    """The whole body. Errors: 413 over MAX_BODY_BYTES, 400 where it is cut off or wrongly chunked.

    Werkzeug cuts a chunked body at MAX_CONTENT_LENGTH without a word, so one byte more is read and looked for.
    """
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # each server has its own errors for a body that breaks HTTP; gunicorn's share no base
        raise BadRequest from error
    if len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return body


def _require_content_type(expected: str) -> None:
    if request.mimetype != expected:
        raise wrong_content_type(expected)


def _start() -> None:
    g.seen_at = _app().clock()  # before the body is read: what is read of the record later is newer
    g.log = {}


def _finish(response: Response) -> Response:
    app = _app()
    known = request.url_rule is not None
    app.metrics.answers.labels(str(request.url_rule) if known else "other", str(response.status_code)).inc()
    level = "debug" if request.path in _PROBES else "info" if response.status_code < 400 else "warning"
    getattr(app.log, level)(
        "request",
        method=request.method,
        path=request.path[:_MAX_LOGGED_PATH_CHARS],
        status=response.status_code,
        **g.log,
    )
    return response


def _described(event: ChangeEvent) -> dict[str, str]:
    return {
        "entity": event.entity.value,
        "record": str(event.record),
        "change": event.change.value,
        "trace": event.trace,
    }


def _traces(events: Iterable[ChangeEvent], misfits: Iterable[Misfit]) -> dict[str, list[str]]:
    return {"records": [f"{event.record} {event.trace}" for event in events], "kept": [item.trace for item in misfits]}


def _app() -> Ingress:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(app, Ingress)  # noqa: S101  # create_app makes no other
    return app
