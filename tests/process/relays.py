"""What stands between the parts in a trial: a wire that can be cut, and a post that repeats and shuffles."""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close sends a RST and not a FIN
_CHUNK_BYTES = 65_536
_SENDERS = 4
_POST_SECONDS = 30


class Wire:
    """TCP from a port of its own to `port` on this machine. One thread moves all bytes, so that a cut is a true RST."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._asked, self._ask = socket.socketpair()
        self._selector.register(self._asked, selectors.EVENT_READ)
        self._is_cut = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_closed = True
        self._ask.send(b"!")
        self._thread.join(timeout=10)
        for one in (self._listener, self._asked, self._ask):
            one.close()
        self._selector.close()

    def reset(self) -> None:
        """Cut every connection there is. New ones are taken at once."""
        self._is_cut.clear()
        self._ask.send(b"!")
        assert self._is_cut.wait(10), "the wire does not move"

    def _run(self) -> None:
        while not self._is_closed:
            for key, _ in self._selector.select():
                self._serve(key.fileobj)
        self._cut_all()

    def _serve(self, ready: Any) -> None:
        if ready is self._asked:
            self._asked.recv(1)
            self._cut_all()
            self._is_cut.set()
        elif ready is self._listener:
            self._connect(self._listener.accept()[0])
        elif ready in self._peers:  # else its other end was cut a moment ago
            self._move(ready)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            self._cut(near)
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _move(self, ready: socket.socket) -> None:
        try:
            chunk = ready.recv(_CHUNK_BYTES)
            if chunk:
                self._peers[ready].sendall(chunk)
                return
        except OSError:
            pass
        self._end(ready)

    def _end(self, one: socket.socket) -> None:
        for end in (one, self._peers[one]):
            del self._peers[end]
            self._selector.unregister(end)
            end.close()

    def _cut_all(self) -> None:
        for one in list(self._peers):
            self._selector.unregister(one)
            self._cut(one)
        self._peers.clear()

    def _cut(self, one: socket.socket) -> None:
        with suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        one.close()


@dataclass(order=True, slots=True)
class _Due:
    at: float  # monotonic
    number: int
    path: str = field(compare=False)
    headers: dict[str, str] = field(compare=False)
    body: bytes = field(compare=False)


class Post:
    """Takes both systems' webhooks and brings each to the ingress `times` times, each copy at a moment of its own
    within `window_seconds`; a `drop_share` of them to nobody, in any copy. The same seed draws the same delays."""

    def __init__(self, target: str, *, seed: int) -> None:
        self.times, self.window_seconds, self.drop_share = 1, 0.0, 0.0
        self.delivered = self.dropped = 0
        self._target = target
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._dues: list[_Due] = []
        self._numbers = itertools.count()
        self._under_way = 0
        self._is_closed = False

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        with self._changed:
            if self._random.random() < self.drop_share:
                self.dropped += 1
                return
            for _ in range(self.times):
                at = time.monotonic() + self._random.uniform(0, self.window_seconds)
                heapq.heappush(self._dues, _Due(at, next(self._numbers), path, headers, body))
            self._changed.notify_all()

    def is_idle(self) -> bool:
        with self._changed:
            return not self._dues and not self._under_way

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def deliver_forever(self) -> None:
        with requests.Session() as http:
            while (due := self._next()) is not None:
                answer = http.post(
                    self._target + due.path, data=due.body, headers=due.headers, timeout=_POST_SECONDS
                ).status_code
                assert answer == 202, f"the ingress answered {answer}"
                with self._changed:
                    self._under_way -= 1
                    self.delivered += 1

    def _next(self) -> _Due | None:
        with self._changed:
            while not self._is_closed:
                wait = self._dues[0].at - time.monotonic() if self._dues else None
                if wait is not None and wait <= 0:
                    self._under_way += 1
                    return heapq.heappop(self._dues)
                self._changed.wait(wait)
        return None


@contextmanager
def post_office(target: str, *, seed: int) -> Iterator[tuple[Post, str]]:
    """The post and the address that both systems send to."""
    post = Post(target, seed=seed)

    class Counter(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {
                name: value for name, value in self.headers.items() if name.lower().startswith(("content-t", "web"))
            }
            post.take(self.path, kept, body)
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """The post tells nobody."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    server.daemon_threads = True
    threads = [threading.Thread(target=server.serve_forever, daemon=True)]
    threads += [threading.Thread(target=post.deliver_forever, daemon=True) for _ in range(_SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield post, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        post.close()
        for thread in threads:
            thread.join(timeout=_POST_SECONDS)
