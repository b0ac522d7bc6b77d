"""Real servers for tests: started on free loopback ports, stopped by those who started them."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import redis

from sync_worker.embedded_redis import redis_server_path, write_redis_conf

ROOT = Path(__file__).parents[1]
START_SECONDS = 60  # for a busy machine; the servers need a small part of it


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """The embedded Redis with its own folder. After `stop` or `kill`, `start` brings it back with what it kept."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self._conf = write_redis_conf(folder, port=self.port)
        self._log_path = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        self._launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start:\n{self._log_path.read_text(errors='replace')}")
            time.sleep(0.01)
        return self

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def flush(self) -> None:
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()

    def _launch(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen([redis_server_path(), self._conf], stdout=log, stderr=log)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class IngressProcess:
    """The real gunicorn with the real ingress, or with another application under the same settings."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        wsgi_app: str | None = None,
        wrap: Callable[[list[str]], list[str]] = list,
    ) -> None:
        """`wrap` makes of its command the one that is run."""
        self.port = free_port()
        self._environment = {**os.environ, **environment, "INGRESS_BIND": f"127.0.0.1:{self.port}"}
        self._wsgi_app = wsgi_app
        self._wrap = wrap
        self.log_path = folder / "ingress.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> IngressProcess:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:ingress.gunicorn_conf"]
        command += [self._wsgi_app] if self._wsgi_app else []
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._wrap(command), env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the ingress did not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    @property
    def pids(self) -> list[int]:
        """The master's, and those of its workers."""
        assert self._process is not None
        master = self._process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
        return [master, *map(int, children.split())]

    def stop(self) -> int:
        """End it in good order, and tell its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=30)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def _answers(self) -> bool:
        connection = self.connect()
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()
