"""A real HTTP server that takes what is posted to it: a Sentry, or a chat."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What came in, and what is answered to it."""

    def __init__(self) -> None:
        self.port = 0
        self.bodies: list[bytes] = []  # unpacked
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answer: Callable[[dict[str, Any]], int] = lambda _message: 200  # may block, or look at the JSON that came
        self.answer_headers: dict[str, str] = {}

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        return f"http://sentry-key@127.0.0.1:{self.port}/1"

    def messages(self) -> list[dict[str, Any]]:
        """The bodies, each as one JSON object."""
        return [json.loads(body) for body in self.bodies]

    def issues(self) -> list[dict[str, Any]]:
        """The events in the envelopes that came: lines of JSON, a header and then pairs of an item's header and it."""
        items = []
        for body in self.bodies:
            lines = body.splitlines()[1:]
            items += [(json.loads(head), content) for head, content in zip(lines[::2], lines[1::2], strict=True)]
        return [json.loads(content) for head, content in items if head["type"] == "event"]


@contextmanager
def receiver() -> Iterator[Receiver]:
    taken = Receiver()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(taken)) as server:
        server.daemon_threads = True
        taken.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield taken
        finally:
            server.shutdown()
            serving.join()


def _handler(taken: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            taken.paths.append(self.path)
            taken.headers.append(dict(self.headers))
            taken.bodies.append(body)
            is_json = self.headers.get("Content-Type") == "application/json"
            self.send_response(taken.answer(json.loads(body) if is_json else {}))
            for name, value in {"Content-Length": "0", **taken.answer_headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            """Whoever follows a redirect comes here."""
            taken.paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    return Handler
