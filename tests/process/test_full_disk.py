"""The disk under Redis is full, and under the spool too: refusals are clear, and nothing that was accepted is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.process.disks import small_disk
from tests.process.exchange import wait_until
from tests.process.filling import ENDED, ENDS_SPOOL_TOO, REFUSES, CrampedRedis, fill_disks
from tests.process.trials import new_seed

pytestmark = pytest.mark.process


def test_a_full_disk_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    verdict = fill_disks(tmp_path, phases=[REFUSES, ENDS_SPOOL_TOO], events=50, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict


@pytest.mark.parametrize("may_mount", [True, False], ids=["file_system", "limit_on_files"])
def test_redis_ends_on_a_full_disk_and_keeps_what_it_had_confirmed(tmp_path: Path, may_mount: bool) -> None:
    """Where nobody may mount, the trial above is held with a limit on files: it has to be as good."""
    with small_disk(tmp_path / "disk", may_mount=may_mount) as disk:
        server = CrampedRedis(tmp_path / "redis", disk, tmp_path / "disk").start()
        try:
            confirmed = write_until_it_ends(server)
            server.free()
            wait_until(server.is_well, what="it is started again and can write")
            with redis.Redis.from_url(server.url(), decode_responses=True) as client:
                assert client.lrange("numbers", 0, -1)[:confirmed] == [str(number) for number in range(confirmed)]
            assert server.ends > 0
            assert ENDED in server.log()
        finally:
            server.kill()


def write_until_it_ends(server: CrampedRedis) -> int:
    """How many numbers it confirmed, some of them before the disk was full."""
    with redis.Redis.from_url(server.url()) as client:
        client.rpush("numbers", *range(100))
        server.fill()
        number = 100
        try:
            while True:
                client.rpush("numbers", number)
                number += 1
        except redis.ConnectionError:
            return number
