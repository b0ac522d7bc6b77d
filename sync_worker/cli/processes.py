"""The processes of `up`, kept alive by supervisord: one that exits is started again."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sync_worker.cli.ports import free_port, split_bind
from sync_worker.cli.watchdog import SUPERVISOR_USER
from sync_worker.contract import Lane, lane_queues
from sync_worker.embedded_redis import redis_server_path, write_redis_conf
from sync_worker.settings import EMBEDDED_REDIS_NOTE

BULK = "bulk"
STOP_SECONDS = 30  # a task has so long to come to its end; the broker gives it out again otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One process under supervision. Programs start in the order of `priority`."""

    name: str
    command: tuple[str, ...]
    priority: int
    environment: Mapping[str, str] = field(default_factory=dict)


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def celery(*arguments: str) -> tuple[str, ...]:
    return python("celery", "-A", "sync_worker.app", *arguments)


def embedded_redis(var: Path) -> tuple[Program, str]:
    """The program of our own Redis, and its URL, which is noted where other commands find it."""
    folder = var / EMBEDDED_REDIS_NOTE.parent
    password = secrets.token_urlsafe(24)
    port = free_port()
    conf = write_redis_conf(folder, port=port, password=password)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    note = var / EMBEDDED_REDIS_NOTE
    note.touch(mode=0o600)
    note.write_text(url, encoding="utf-8")
    return Program(name="redis", command=(str(redis_server_path()), str(conf)), priority=1), url


def exchange_programs(*, var: Path, flower_bind: str, workers: int, hung_seconds: float) -> list[Program]:
    """Ingress, workers, beat, Flower with our tab, and what replaces workers that hang for `hung_seconds`.

    They read their settings from the environment.
    """
    host, port = split_bind(flower_bind)
    live_names = [f"worker{number}" for number in range(1, workers + 1)]
    return [
        Program(name="ingress", command=python("gunicorn", "-c", "python:ingress.gunicorn_conf"), priority=10),
        *(worker(name, Lane.LIVE) for name in live_names),
        worker(BULK, Lane.BULK),
        Program(
            name="beat",
            command=celery("beat", "-s", str(var / "beat-schedule"), "--pidfile="),
            priority=30,
        ),
        Program(name="flower", command=celery("desk", f"--address={host}", f"--port={port}"), priority=40),
        watchdog(live_names, hung_seconds=hung_seconds),
    ]


def worker(name: str, lane: Lane) -> Program:
    """A worker of one lane: threads that wait for a backlog's calls are not there for a manager's edit."""
    return Program(
        name=name,
        command=celery("worker", "-n", f"{name}@%h", "-Q", ",".join(lane_queues(lane))),
        priority=20,
        environment={"REMAP_SIGTERM": "SIGQUIT"},  # a bounded stop: celeryconfig.worker_soft_shutdown_timeout
    )


def watchdog(live_names: list[str], *, hung_seconds: float) -> Program:
    names = [*(f"--live={name}" for name in live_names), f"--bulk={BULK}"]
    command = python("sync_worker.cli", "watchdog", f"--hung-after={hung_seconds:g}", *names)
    return Program(name="watchdog", command=command, priority=50)


def write_supervisor_conf(var: Path, programs: list[Program], *, socket: Path) -> Path:
    """Write `var`/supervisord.conf. Each program's output goes to `var`/log/NAME.log, rotated.

    `socket`: where the supervisor takes orders. It has a short path: the system cuts one at some 100 characters.
    """
    log = var / "log"
    log.mkdir(parents=True, exist_ok=True)
    lines = [
        "[unix_http_server]",
        f"file={_escaped(str(socket))}",
        "chmod=0600",
        f"username={SUPERVISOR_USER}",
        "password=%(ENV_SUPERVISOR_PASSWORD)s",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_escaped(str(log / 'supervisord.log'))}",
        f"pidfile={_escaped(str(var / 'supervisord.pid'))}",
        f"childlogdir={_escaped(str(log))}",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={_escaped(shlex.join(program.command))}",
            f"priority={program.priority}",
            "autorestart=true",
            "startsecs=1",
            "startretries=1000000",  # whatever it waits for may come back at any time
            "stopasgroup=true",
            "killasgroup=true",
            f"stopwaitsecs={STOP_SECONDS}",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(str(log / program.name))}.log",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=5",
        ]
        if program.environment:
            pairs = ",".join(f'{name}="{value}"' for name, value in program.environment.items())
            lines.append(f"environment={_escaped(pairs)}")
    conf = var / "supervisord.conf"
    conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return conf


def start_supervisor(conf: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that Ctrl-C reaches us and not its children.

    The password that it wants of the watchdog is made here, and is in no file.
    """
    return subprocess.Popen(  # noqa: S603  # our own interpreter and configuration
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)],
        env={**os.environ, **environment, "SUPERVISOR_PASSWORD": secrets.token_urlsafe(24)},
        start_new_session=True,
    )


def stop_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    """Stop all programs in order and wait for them; what does not stop in time is killed with its group."""
    if supervisor.poll() is None:
        supervisor.terminate()
    try:
        supervisor.wait(timeout=STOP_SECONDS + 15)
    except subprocess.TimeoutExpired:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()


def _escaped(text: str) -> str:
    """supervisord expands % in every value."""
    return text.replace("%", "%%")
