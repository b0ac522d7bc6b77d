"""A real RabbitMQ of our own: Debian's server under a name, ports and folders that nobody else uses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services import START_SECONDS, free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitServer:
    """Started with an empty data folder; `kill` is a SIGKILL, and `start` brings it back with what it kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._epmd_port = str(free_port())
        self._log_path = folder / "rabbitmq.log"
        self._environment = {
            **os.environ,
            "HOME": str(folder),  # the Erlang cookie
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # else it may refuse to be stopped while a node counts as alive
            "ERL_EPMD_PORT": self._epmd_port,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> RabbitServer:
        seen = len(self._log())
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [SERVER],
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + 2 * START_SECONDS
        while "completed with" not in self._log()[seen:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"RabbitMQ did not start:\n{self._log()}")
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=20)
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Its connections stay open, and nothing is answered."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it, and the port mapper that Erlang leaves behind."""
        self.kill()
        if epmd := shutil.which("epmd"):
            subprocess.run([epmd, "-kill"], env=self._environment, capture_output=True, check=False, timeout=20)

    def _log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""


def require_rabbitmq() -> None:
    """Skip the test where there is none; with CI=true that is a failure."""
    if not SERVER.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is missing, and with CI=true nothing may be left out")
        pytest.skip("rabbitmq-server is not installed (tests/debian-packages)")


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RabbitServer]:
    require_rabbitmq()
    server = RabbitServer(folder).start()
    try:
        yield server
    finally:
        server.stop()
