"""The sandbox's own controls, for tests and demonstrations: /_sandbox. A real base has nothing of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify, request

if TYPE_CHECKING:
    from sandbox.onec.base import Base


def make_control(base: Base) -> Blueprint:
    """The control API of this base."""
    control = Blueprint("control", __name__, url_prefix="/_sandbox")

    @control.get("/faults")
    def show_faults() -> Response:
        return jsonify(faults=base.faults.describe())

    @control.post("/faults")
    def put_faults() -> Response:
        spec = _read_body().get("spec")
        if not isinstance(spec, str):
            abort(_refusal("spec must be a text"))
        try:
            base.faults.replace(spec)
        except ValueError as error:
            abort(_refusal(str(error)))
        return jsonify(faults=base.faults.describe())

    @control.get("/state")
    def show_state() -> Response:
        return jsonify(base.show_state())

    @control.get("/journal")
    def show_journal() -> Response:
        return jsonify(calls=base.journal.show(), counters=base.show_counters())

    @control.get("/events")
    def show_events() -> Response:
        return jsonify(events=base.outbox.show())

    @control.post("/webhook")
    def point_webhook() -> Response:
        url = _read_body().get("url")
        if url is not None and not isinstance(url, str):
            abort(_refusal("url must be a text or null"))
        base.outbox.point_at(url)
        return jsonify(url=url)

    @control.post("/sessions/expire")
    def expire_sessions() -> Response:
        base.sessions.expire_all()
        return jsonify(expired=True)

    @control.post("/reset")
    def reset() -> Response:
        base.reset()
        return jsonify(reset=True)

    return control


def _read_body() -> dict[str, Any]:
    content = request.get_json(silent=True)
    if not isinstance(content, dict):
        abort(_refusal("a JSON object is expected"))
    return content


def _refusal(message: str) -> Response:
    response = jsonify(error=message)
    response.status_code = 400
    return response
