"""Who may import whom (docs/architecture.md): walked with ast, so that a comfortable import does not move a wall."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.unit.settings_names import setting_names

ROOT = Path(__file__).parents[2]
OURS = ("sync_worker", "ingress", "sandbox", "celeryconfig")


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a package or module may import beside the standard library and itself."""

    ours: frozenset[str] = frozenset()  # modules, or packages with all that is in them
    libraries: frozenset[str] = frozenset()


def room(*ours: str, libraries: str = "") -> Room:
    return Room(ours=frozenset(f"sync_worker.{name}" for name in ours), libraries=frozenset(libraries.split()))


PURE = ("domain", "entities", "errors")
ROOMS = {
    "sync_worker": room(),  # the map of rooms: no code
    "sync_worker.domain": room(libraries="phonenumbers stdnum"),  # both are pure tables of rules
    "sync_worker.entities": room("domain"),
    "sync_worker.errors": room("domain.identity"),
    "sync_worker.contract": room("domain.doorbell", "domain.identity", libraries="marshmallow"),
    "sync_worker.sync": room(*PURE, "contract"),
    "sync_worker.gateways": room(),
    "sync_worker.gateways.bitrix24": room(*PURE, "gateways.fence", "gateways.group_commit", libraries="requests"),
    "sync_worker.gateways.onec": room(*PURE, "gateways.fence", "gateways.group_commit", libraries="requests urllib3"),
    "sync_worker.store": room("domain", "errors", "contract", libraries="redis marshmallow"),
    "sync_worker.sync_toml": room("domain", "entities", libraries="marshmallow"),
    "sync_worker.settings": room("sync_toml", "entities", "domain", libraries="environs marshmallow"),
    "sync_worker.scrubbing": room(),
    "sync_worker.telemetry": room("domain", "errors", "scrubbing", "settings", libraries="structlog sentry_sdk"),
    "sync_worker.alert_webhook": room("errors", libraries="requests"),
    "sync_worker.outbox": room("contract", "errors", libraries="amqp kombu"),
    "sync_worker.broker_guard": room(libraries="kombu redis"),
    "sync_worker.envelope_guard": room(libraries="kombu"),
    "sync_worker.embedded_redis": room(),
    "sync_worker.bootstrap": room(
        *PURE,
        "alert_webhook",
        "contract",
        "gateways",
        "outbox",
        "settings",
        "store",
        "sync",
        "telemetry",
        libraries="redis requests structlog",
    ),
    "sync_worker.app": room("broker_guard", "envelope_guard", "settings", "telemetry", libraries="celery"),
    "sync_worker.tasks": room(
        "app",
        "bootstrap",
        "contract",
        "domain.drift",
        "errors",
        "settings",
        "store.client",
        "store.crashes",
        "store.locks",
        "sync.alerts",
        "sync.office",
        "sync.offline",
        "sync.reconcile",
        "sync.retry_policy",
        "sync.worker",
        "telemetry",
        libraries="amqp celery kombu marshmallow structlog",
    ),
    "sync_worker.cli": room(
        "app",
        "bootstrap",
        "contract",
        "domain",
        "embedded_redis",
        "entities",
        "errors",
        "gateways.bitrix24.examine",  # the type of what bootstrap built for `setup`
        "settings",
        "store.client",
        "sync",  # what bootstrap built, and what its parts are asked for
        "sync_toml",
        "telemetry",
        libraries="click redis requests rich supervisor tomlkit",
    ),
    "sync_worker.desk": room(
        "app", "bootstrap", "contract", "domain", "entities", "errors", "settings", "sync.for_machines",
        "sync.office", "telemetry", libraries="celery flower tornado",
    ),
    "celeryconfig": room("contract", "settings", libraries="kombu"),
    "ingress": room(
        "contract",  # tasks are sent by name, so a broken worker cannot take the door down
        libraries="amqp apispec environs flask gunicorn kombu marshmallow prometheus_client redis sentry_sdk"
        " standardwebhooks structlog werkzeug",
    ),
    # nothing of ours, by intent: it must not share our misunderstandings
    "sandbox": room(libraries="flask jinja2 phonenumbers requests standardwebhooks werkzeug"),
}  # fmt: skip

PLACES = {
    "requests": (
        "sync_worker/gateways/bitrix24/client.py",
        "sync_worker/gateways/bitrix24/transport.py",
        "sync_worker/gateways/onec/client.py",
        "sync_worker/alert_webhook.py",
        "sync_worker/bootstrap.py",
        "sync_worker/cli/",
        "sandbox/",
    ),
    "redis": (
        "sync_worker/store/",
        "sync_worker/bootstrap.py",
        "sync_worker/cli/doctor.py",
        "sync_worker/broker_guard.py",
        "sync_worker/embedded_redis.py",
        "ingress/metrics_exchange.py",
    ),
    "marshmallow": (
        "sync_worker/contract.py",
        "sync_worker/settings.py",
        "sync_worker/sync_toml.py",
        "sync_worker/store/letters.py",
        "sync_worker/tasks/",
        "ingress/",
    ),
}
"""Where a library's types stop: no other file of ours may import it."""


def source_files() -> list[Path]:
    found = (path for name in OURS for path in ROOT.glob(f"{name}/**/*.py"))
    return sorted([*found, ROOT / "celeryconfig.py"])


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = source_files()
MODULES = {module_name(path) for path in FILES}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of all modules that a file imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            yield from inner or {str(node.module)}


def room_of(module: str) -> str:
    """The innermost room that a module lies in."""
    return max((name for name in ROOMS if is_within(module, name)), key=len)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def is_allowed(module: str, imported: str) -> bool:
    name = room_of(module)
    if imported.split(".", maxsplit=1)[0] not in OURS:
        return imported.split(".", maxsplit=1)[0] in ROOMS[name].libraries | sys.stdlib_module_names
    return is_within(imported, name) or any(is_within(imported, allowed) for allowed in ROOMS[name].ours)


@pytest.mark.parametrize("path", FILES, ids=map(module_name, FILES))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    module = module_name(path)
    if room_of(module) == "sync_worker" != module:
        pytest.fail(f"{module} lies in no room: give it a row in ROOMS and in docs/architecture.md")

    forbidden = [imported for imported in imports(path) if not is_allowed(module, imported)]

    assert forbidden == [], f"{room_of(module)} may not import {', '.join(forbidden)}"


@pytest.mark.parametrize("library", PLACES)
def test_a_library_stays_where_its_types_stop(library: str) -> None:
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(is_within(imported, library) for imported in imports(path))
    ]

    assert users != []
    assert [user for user in users if not user.startswith(PLACES[library])] == []


def test_a_celery_self_stops_at_the_tasks() -> None:
    bound = [
        path.parent.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "bind"
    ]

    assert set(bound) == {"tasks"}


def test_the_walls_are_seen() -> None:
    """The test above can fail: what it must refuse, it refuses."""
    assert not is_allowed("sync_worker.domain.merge", "redis")
    assert not is_allowed("sync_worker.sync.deal", "sync_worker.gateways.bitrix24.deal")
    assert not is_allowed("sync_worker.gateways.onec.client", "sync_worker.gateways.bitrix24.client")
    assert not is_allowed("sync_worker.contract", "sync_worker.domain.rules")
    assert not is_allowed("ingress.app", "sync_worker.settings")
    assert not is_allowed("sandbox.serving", "sync_worker.contract")
    assert is_allowed("sync_worker.sync.deal", "sync_worker.domain.merge")


IMPORT_ALL = """
import importlib, json, os, socket, sys

def no_connection(*_):
    raise AssertionError("an import opens a connection")

for name in ("connect", "connect_ex", "bind"):
    setattr(socket.socket, name, no_connection)
read = set()
get = os._Environ.__getitem__
os._Environ.__getitem__ = lambda self, key: (read.add(key), get(self, key))[1]
for module in json.loads(sys.stdin.read()):
    importlib.import_module(module)
print(json.dumps(sorted(read)))
"""
CONFIGURATION = {"celeryconfig", "ingress.gunicorn_conf"}  # files of settings: to read the environment is their work


def test_importing_opens_no_socket_and_reads_no_setting(tmp_path: Path) -> None:
    modules = [name for name in sorted(MODULES) if room_of(name) != "sandbox" and not name.endswith("__main__")]
    wanted = [name for name in modules if name not in CONFIGURATION]

    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        input=json.dumps(wanted),
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) & setting_names() == set()
