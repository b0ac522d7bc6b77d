"""The spool by itself: order, its bound, torn writes, who may read it."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingress.accepting import _batch
from ingress.spool import FILE_NAME, Spool, SpoolUnavailableError
from sync_worker.contract import (
    Change,
    ChangeEvent,
    EntityKind,
    RecordRef,
    RecordType,
    System,
    TaskMessage,
    event_message,
    new_trace,
)
from tests.ingress.conftest import NOW

MAX_MB = 1


def message(number: int, *, name: str = "") -> TaskMessage:
    record = RecordRef(system=System.BITRIX24, type=RecordType.DEAL, id=name or str(number))
    return event_message(
        ChangeEvent(entity=EntityKind.DEAL, record=record, change=Change.CHANGED, seen_at=NOW, trace=new_trace())
    )


def ids(spool: Spool) -> list[str]:
    rows = spool.read_first(100_000)
    return [row.message.body[1]["event"]["record"]["id"] for row in rows if row.message]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", max_mb=MAX_MB)
    yield spool
    spool.close()


def fill(spool: Spool) -> int:
    """How many messages it took until it was full."""
    for number in range(100_000):
        try:
            spool.append([message(number)])
        except SpoolUnavailableError as error:
            assert "full" in str(error)  # noqa: PT017
            return number
    raise AssertionError("it has no bound")


def test_a_message_comes_out_as_it_went_in(spool: Spool) -> None:
    sent = message(1)

    spool.append([sent])

    [row] = spool.read_first(10)
    assert row.message == sent


def test_what_was_added_is_there_in_order_after_a_restart(spool: Spool) -> None:
    spool.append([message(1), message(2)])
    spool.append([message(3)])
    spool.close()

    again = Spool(spool.folder, max_mb=MAX_MB)

    assert ids(again) == ["1", "2", "3"]
    assert not again.is_empty()
    again.close()


def test_each_commit_waits_for_the_disk(spool: Spool) -> None:
    """A kill shows nothing of it: only a power cut would."""
    spool.append([message(1)])
    assert spool._writer is not None

    assert spool._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: an fsync for each commit
    assert spool._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_was_deleted_is_gone_and_its_ids_are_not_used_again(spool: Spool) -> None:
    spool.append([message(1), message(2), message(3)])
    rows = spool.read_first(10)

    spool.delete_up_to(rows[1].id)
    assert ids(spool) == ["3"]
    spool.delete_up_to(rows[2].id)
    assert spool.is_empty()

    spool.append([message(4)])
    assert spool.read_first(1)[0].id > rows[2].id


def test_it_tells_how_much_waits(spool: Spool) -> None:
    assert (spool.measure().events, spool.measure().oldest_seconds) == (0, 0.0)

    spool.append([message(number) for number in range(100)])
    spool.delete_up_to(spool.read_first(30)[-1].id)

    stock = spool.measure()
    assert stock.events == 70
    assert 0 < stock.bytes < MAX_MB * 1024 * 1024


def test_its_size_is_bounded_and_nothing_that_it_took_is_lost(spool: Spool) -> None:
    taken = fill(spool)

    assert taken > 100
    assert ids(spool) == [str(number) for number in range(taken)]
    assert spool.path.stat().st_size <= MAX_MB * 1024 * 1024
    with pytest.raises(SpoolUnavailableError, match="full"):
        spool.check()


def test_a_full_one_takes_again_when_something_left(spool: Spool) -> None:
    taken = fill(spool)

    spool.delete_up_to(spool.read_first(100)[-1].id)

    spool.check()
    spool.append([message(taken)])
    assert ids(spool)[-1] == str(taken)


def test_a_request_is_taken_whole_or_not_at_all(spool: Spool) -> None:
    spool.append([message(1)])

    with pytest.raises(SpoolUnavailableError, match="full"):
        spool.append([message(number) for number in range(2, 5000)])

    assert ids(spool) == ["1"]


def test_threads_share_commits_and_keep_their_own_order(spool: Spool) -> None:
    def add(worker: int) -> None:
        for number in range(50):
            spool.append([message(0, name=f"{worker}-{number}")])

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = ids(spool)
    assert len(found) == 400
    for worker in range(8):
        assert [name for name in found if name.startswith(f"{worker}-")] == [f"{worker}-{n}" for n in range(50)]


def test_a_large_request_that_does_not_fit_takes_no_small_one_along(spool: Spool) -> None:
    """Those that wait for the disk at once share a commit."""
    large = [message(number) for number in range(5000)]
    refused: list[str] = []

    def add(messages: list[TaskMessage]) -> None:
        try:
            spool.append(messages)
        except SpoolUnavailableError:
            refused.append(f"{len(messages)}")

    with spool._writing:  # somebody else's commit, for which all of these wait
        threads = [threading.Thread(target=add, args=(one,)) for one in (large, [message(1)], [message(2)])]
        for thread in threads:
            thread.start()
        while len(spool._deposits) < len(threads):
            pass
    for thread in threads:
        thread.join()

    assert refused == ["5000"]
    assert sorted(ids(spool)) == ["1", "2"]


def test_a_write_torn_at_any_place_costs_nothing_that_was_safe(spool: Spool, tmp_path: Path) -> None:
    for number in range(5):
        spool.append([message(number)])
    log = spool.folder / f"{FILE_NAME}-wal"
    safe = log.stat().st_size
    spool.append([message(5), message(6)])
    whole = log.stat().st_size
    assert whole > safe, "the last write must be in the log for this to prove anything"

    for cut in (safe, safe + 1, safe + 24, (safe + whole) // 2, whole - 1):
        torn = _copy(spool, tmp_path / f"torn-{cut}")
        with (torn.folder / log.name).open("r+b") as file:
            file.truncate(cut)
        assert ids(torn) == ["0", "1", "2", "3", "4"]
        torn.append([message(7)])
        assert ids(torn) == ["0", "1", "2", "3", "4", "7"]
        torn.close()


def test_rubbish_at_the_end_of_the_log_is_left_out(spool: Spool, tmp_path: Path) -> None:
    for number in range(5):
        spool.append([message(number)])
    torn = _copy(spool, tmp_path / "torn")

    with (torn.folder / f"{FILE_NAME}-wal").open("ab") as file:
        file.write(b"\xa5" * 5000)

    assert ids(torn) == ["0", "1", "2", "3", "4"]
    torn.close()


def _copy(spool: Spool, folder: Path) -> Spool:
    """As a crash leaves it: the file and its log."""
    folder.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        shutil.copy(spool.folder / name, folder / name)
    return Spool(folder, max_mb=MAX_MB)


def test_only_its_owner_may_read_it(spool: Spool) -> None:
    spool.append([message(1)])

    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in spool.folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert f"{FILE_NAME}-wal" in modes


def test_an_emptied_one_gives_the_disk_back_and_keeps_no_trace(spool: Spool) -> None:
    spool.append([message(number, name=f"person-{number}") for number in range(500)])
    spool.delete_up_to(spool.read_first(500)[-1].id)

    spool.shrink()

    files = list(spool.folder.iterdir())
    assert sum(path.stat().st_size for path in files if not path.name.endswith("-shm")) < 64 * 1024
    assert not any(b"person-" in path.read_bytes() for path in files)


def test_a_row_that_cannot_be_read_is_kept_aside(spool: Spool) -> None:
    spool.append([message(1), message(2), message(3)])
    with sqlite3.connect(spool.path) as other:
        other.execute("UPDATE spooled SET message = '{\"of another version\": 1}' WHERE id = 2")
    other.close()

    first, second, third = spool.read_first(10)
    assert second.message is None
    assert [row.id for row in _batch([first, second, third])] == [1]
    assert [row.id for row in _batch([second, third])] == [2]
    spool.delete_up_to(1)
    spool.set_aside(2)

    assert ids(spool) == ["3"]
    with sqlite3.connect(spool.path) as other:
        assert other.execute("SELECT id, message FROM unreadable").fetchall() == [(2, '{"of another version": 1}')]
    other.close()


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "null",
        '{"body": 1}',
        '{"body": [1, 2]}',
        '{"body": [[], {}, {}], "queue": "nobody\'s", "headers": {}, "correlation_id": "x"}',
    ],
)
def test_what_is_no_message_is_told_as_such(text: str, spool: Spool) -> None:
    spool.append([message(1)])
    with sqlite3.connect(spool.path) as other:
        other.execute("UPDATE spooled SET message = ?", (text,))
    other.close()

    assert [row.message for row in spool.read_first(10)] == [None]


def test_a_folder_that_cannot_be_used_is_said_so_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    spool = Spool(tmp_path / "file" / "spool", max_mb=MAX_MB)

    for call in (spool.check, spool.is_empty, spool.measure, lambda: spool.append([message(1)])):
        with pytest.raises(SpoolUnavailableError, match="folder cannot be used"):
            call()
    spool.shrink()


def test_a_file_that_is_no_spool_is_said_so_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"somebody's notes " * 1000)
    spool = Spool(tmp_path, max_mb=MAX_MB)

    with pytest.raises(SpoolUnavailableError, match="SQLITE_NOTADB"):
        spool.append([message(1)])

    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"somebody's notes")
    (tmp_path / FILE_NAME).unlink()
    spool.append([message(1)])
    assert ids(spool) == ["1"]
    spool.close()
