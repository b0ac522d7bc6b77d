"""A client of the sandbox base that believes only the contract: every answer is checked against the OpenAPI file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
import yaml
from jsonschema import FormatChecker
from openapi_schema_validator import OAS31Validator

from sandbox.faults import FaultPlan
from sandbox.onec import Base, BaseSettings
from sandbox.serving import Server

CONTRACT = yaml.safe_load(
    (Path(__file__).parents[1] / "samples/onec/onec-exchange.openapi.yaml").read_text(encoding="utf-8")
)
SERVICE = "/base/hs/crm-exchange/v1"
USER = ("Обмен".encode(), b"sandbox-password")


def check_schema(schema: Any, instance: Any) -> None:
    """Raise where the instance does not fit the schema, formats enforced."""
    _validator(json.dumps(schema)).validate(instance)


@cache
def _validator(schema: str) -> OAS31Validator:
    return OAS31Validator({**json.loads(schema), "components": CONTRACT["components"]}, format_checker=FormatChecker())


def check_answer(method: str, path: str, response: requests.Response) -> None:
    """Hold an answer of the service against its operation in the contract."""
    if response.headers["Content-Type"].startswith("application/problem+json"):
        check_schema({"$ref": "#/components/schemas/Problem"}, response.json())
        return
    answers = CONTRACT["paths"][path][method.lower()]["responses"]
    declared = answers.get(str(response.status_code))
    if declared is None:
        return  # the platform's own shapes are outside the schemas
    if "$ref" in declared:
        declared = CONTRACT["components"]["responses"][declared["$ref"].rsplit("/", 1)[1]]
    if "content" in declared:
        check_schema(declared["content"]["application/json"]["schema"], read_json(response))
    else:
        assert response.content == b""


def read_json(response: requests.Response) -> Any:
    return json.loads(response.content.decode("utf-8-sig"))


def properties_of(name: str) -> set[str]:
    return set(CONTRACT["components"]["schemas"][name]["properties"])


class Peer:
    """The exchange's side, and the bookkeeper's, over HTTP."""

    def __init__(self, base: Base, url: str) -> None:
        self.base = base
        self.url = url
        self.http = requests.Session()

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("auth", USER)
        response = self.http.request(method, f"{self.url}{SERVICE}{path}", timeout=20, **options)
        check_answer(method, path, response)
        return response

    def find(self, type: str, **query: Any) -> list[dict[str, Any]]:
        response = self.call("GET", f"/{type}", params=query)
        assert response.status_code == 200, response.text
        return read_json(response)["items"]

    def get(self, type: str, ref: str) -> dict[str, Any]:
        (record,) = self.find(type, ref=ref, deleted="true")
        return record

    def upsert(self, type: str, *items: Any) -> list[dict[str, Any]]:
        response = self.call("POST", f"/{type}", json={"items": items})
        assert response.status_code == 200, response.text
        return read_json(response)["results"]

    def put(self, type: str, **item: Any) -> dict[str, Any]:
        (result,) = self.upsert(type, item)
        return result

    def company(self, number: int = 1, **fields: Any) -> dict[str, Any]:
        """A counterparty that has to come out well."""
        result = self.put("counterparties", external_id=f"b24:company:{number}", **{"name": "ООО Ромашка", **fields})
        assert result["outcome"] != "rejected", result
        return result

    def order(self, number: int = 1, **fields: Any) -> dict[str, Any]:
        if "counterparty_ref" not in fields:
            fields["counterparty_ref"] = self.company()["ref"]
        result = self.put("orders", external_id=f"b24:deal:{number}", **fields)
        assert result["outcome"] != "rejected", result
        return result

    def by_hand(self, path: str, **form: str) -> dict[str, Any]:
        """Do something as a person in 1C; the ref and the number."""
        response = self.post_form(path, **form)
        assert response.status_code in (200, 201), response.text
        return response.json()

    def post_form(self, path: str, **form: str) -> requests.Response:
        headers = {"Accept": "application/json"}
        return self.http.post(f"{self.url}/ui/{path}", data=form, headers=headers, timeout=20)

    def changes(self, **query: Any) -> dict[str, Any]:
        return read_json(self.call("GET", "/changes", params=query))

    def confirm(self, cursor: Any) -> int:
        return self.call("POST", "/changes/confirm", json={"cursor": cursor}).status_code

    def sandbox(self, path: str, **body: Any) -> dict[str, Any]:
        method = "POST" if body or path == "reset" else "GET"
        response = self.http.request(method, f"{self.url}/_sandbox/{path}", json=body, timeout=20)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def running(
    *,
    faults: str = "",
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    **settings: Any,
) -> Iterator[Peer]:
    """A base on a free port, and a client of it."""
    plan = FaultPlan()
    plan.replace(faults)
    base = Base(BaseSettings(**settings), faults=plan, clock=clock, sleep=sleep)
    with base.serve() as served:
        peer = Peer(base, served.url)
        with peer.http:
            yield peer


class Receiver:
    """An ingress that notes what it is sent and answers as told, 202 when nothing is said."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self._arrived = threading.Condition()
        self.requests: list[tuple[dict[str, str], bytes]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        headers = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith(("HTTP_", "CONTENT_TYPE"))
        }
        with self._arrived:
            self.requests.append((headers, body))
            status = self._statuses.pop(0) if self._statuses else 202
            self._arrived.notify_all()
        start_response(f"{status} Told", [("Content-Length", "0")])
        return [b""]

    def wait_for(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        """The first `count` requests, as soon as they are there."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, timeout=20), self.requests
            return self.requests[:count]

    def events(self, count: int) -> list[dict[str, Any]]:
        return [event for _, body in self.wait_for(count) for event in json.loads(body)["events"]]


@contextmanager
def receiving(*statuses: int) -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver(*statuses)
    with Server(receiver) as server:
        yield receiver, f"{server.url}/webhooks/1c"
