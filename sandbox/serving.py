"""One threaded HTTP/1.1 server a system, and the rude things a real network does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
IDLE_SECONDS = 75  # how long a kept connection may say nothing: what nginx grants by default


class _Connections:
    """The connections that are open, so that a server that stops can cut them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False

    def add(self, connection: socket.socket) -> None:
        """Remember a connection; cut it at once if the server has stopped meanwhile."""
        with self._lock:
            self._open.add(connection)
            if self._is_cut:
                _shut(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def cut(self) -> None:
        """Cut those there are, and those that still come."""
        with self._lock:
            self._is_cut = True
            for connection in self._open:
                _shut(connection)


class _KeepingHandler(WSGIRequestHandler):
    """Keeps connections, as the real systems do.

    Werkzeug's own handler closes each one after its answer, since it doesn't know whether the body was read to its end.
    This one reads the whole body first, and so always stands at the next request.
    """

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    connections: _Connections  # each server has a class with its own

    def setup(self) -> None:
        super().setup()
        self.connections.add(self.connection)

    def finish(self) -> None:
        self.connections.forget(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        """Answer one request; a connection whose other end is gone, or was cut by a fault, ends here."""
        environ = self.make_environ()
        try:
            environ["wsgi.input"] = BytesIO(self._read_body(environ))
            environ["wsgi.input_terminated"] = True
            answer, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
            self._write(status, list(headers), b"".join(answer))
        except OSError:
            self.close_connection = True

    def _read_body(self, environ: dict[str, Any]) -> bytes:
        if environ.get("wsgi.input_terminated"):  # chunked
            return bytes(environ["wsgi.input"].read())
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():  # nobody knows where the next request begins
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _write(self, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        code = status.split(" ", 1)[0]
        has_body = code not in {"204", "304"}
        head = [
            f"HTTP/1.1 {status}",
            f"Date: {self.date_time_string()}",
            *(f"{name}: {value}" for name, value in headers if name.lower() not in {"content-length", "connection"}),
            *([f"Content-Length: {len(body)}"] if has_body else []),
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
        ]
        told = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
        # one write: two would wait for each other on a kept connection
        self.wfile.write(told + body if has_body and self.command != "HEAD" else told)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: the sandbox keeps a journal of its own."""


class Server:
    """A WSGI application on a loopback port, served from threads until `stop`. Port 0 takes a free one."""

    def __init__(self, app: WsgiApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._connections = _Connections()
        handler = type("_Handler", (_KeepingHandler,), {"connections": self._connections})
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=handler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self) -> Server:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop; kept connections end as well, so that nobody is answered by a system that is down."""
        self._server.shutdown()
        self._server.server_close()
        self._connections.cut()
        self._thread.join(timeout=5)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def reset_connection(environ: dict[str, Any]) -> None:
    """Cut the caller's connection. Return anything afterwards: nobody will read it."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # no close() here: the server's own file objects still hold the descriptor, and would write into a reused one
    _shut(connection)


def _shut(connection: socket.socket) -> None:
    """End a connection both ways, if it has not ended by itself."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
