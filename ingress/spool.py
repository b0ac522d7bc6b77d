"""Where events wait on this machine's own disk while the broker is away: fsynced before anybody is answered 202.

SQLite of the standard library rather than persist-queue: what is needed here (all of a request in one commit, one
fsync for many requests, a bound on the size, several processes, rows that stay until the broker confirmed) is a few
statements of SQL, and persist-queue offers none of it on its own terms. A write that was torn by a crash is an
uncommitted one: SQLite's log has checksums, and what was committed is on the disk.

The spool holds events in the clear, personal data of 1C's events among them: its folder is made with mode 0700, its
files with 0600, and when it is empty again the file is rewritten without what it held.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sync_worker.contract import TaskMessage, all_queues

FILE_NAME = "spool.sqlite3"
PAGE_BYTES = 4096
LOCKED_SECONDS = 2.0  # patience with another process that writes at this moment
HEADROOM_PAGES = 8  # with no more than these left, nothing of a usual size fits
SMALL_PAGES = 64  # an empty spool's file of this size is not worth rewriting

# synchronous=FULL: each commit is on the disk when it returns. max_page_count: SQLite itself keeps the bound.
_PRAGMAS = f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit={4 * 1024 * 1024};"
_TABLES = """
CREATE TABLE IF NOT EXISTS spooled (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS unreadable (id INTEGER PRIMARY KEY, at REAL NOT NULL, message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL);
"""


class SpoolUnavailableError(Exception):
    """The spool cannot do it now: it is full, or its disk refuses. Nothing of what was to be added is in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One message that waits. `message` is None where the text cannot be read, as after a downgrade."""

    id: int  # ascending, and never used twice
    size: int  # characters
    message: TaskMessage | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stock:
    """How much waits."""

    events: int
    bytes: int  # of the file, without what is free in it
    oldest_seconds: float


@dataclass(kw_only=True, slots=True, eq=False)
class _Deposit:
    """What one thread wants written, and what came of it."""

    rows: list[tuple[float, str]]
    is_settled: bool = False
    error: sqlite3.Error | OSError | None = field(default=None)


class Spool:
    """A queue on disk. Safe to share between threads, and its file between processes of one machine."""

    def __init__(self, folder: Path, *, max_mb: int) -> None:
        """Opens nothing yet: a disk that refuses must not keep the ingress from starting."""
        self.folder = folder
        self.max_bytes = max_mb * 1024 * 1024
        self._deposits: list[_Deposit] = []
        self._depositing = threading.Lock()
        self._writing = threading.Lock()
        self._reading = threading.Lock()  # a read never waits for another thread's fsync
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    def append(self, messages: Sequence[TaskMessage]) -> None:
        """Return when all of `messages` are on the disk. Errors: SpoolUnavailableError, and none of them is.

        Threads that wait for the disk at once share one commit: the first of them writes for all.
        """
        now = time.time()
        mine = _Deposit(rows=[(now, _dump(message)) for message in messages])
        with self._depositing:
            self._deposits.append(mine)
        with self._writing:
            if not mine.is_settled:
                self._settle_deposits()
        if mine.error is not None:
            raise SpoolUnavailableError(_reason(mine.error)) from mine.error

    def read_first(self, limit: int, *, after: int = 0) -> list[Row]:
        """The oldest rows whose id is above `after`, in order. Errors: SpoolUnavailableError."""
        query = "SELECT id, message FROM spooled WHERE id > ? ORDER BY id LIMIT ?"
        return [Row(id=id_, size=len(text), message=_load(text)) for id_, text in self._select(query, (after, limit))]

    def delete_up_to(self, id_: int) -> None:
        """Forget the rows up to this one: the broker has them. Errors: SpoolUnavailableError."""
        with self._transaction() as writer:
            writer.execute("DELETE FROM spooled WHERE id <= ?", (id_,))

    def set_aside(self, id_: int) -> None:
        """Move a row that cannot be read out of the way, and keep it. Errors: SpoolUnavailableError."""
        with self._transaction() as writer:
            writer.execute("INSERT OR IGNORE INTO unreadable SELECT id, at, message FROM spooled WHERE id = ?", (id_,))
            writer.execute("DELETE FROM spooled WHERE id = ?", (id_,))

    def is_empty(self) -> bool:
        """Errors: SpoolUnavailableError."""
        return not self._select("SELECT 1 FROM spooled LIMIT 1")

    def measure(self) -> Stock:
        """Errors: SpoolUnavailableError."""
        # ids leave from the front only and without gaps, so nothing has to be counted row by row
        [(first, last, oldest_at)] = self._select(
            "SELECT min(id), max(id), (SELECT at FROM spooled ORDER BY id LIMIT 1) FROM spooled"
        )
        return Stock(
            events=last - first + 1 if first is not None else 0,
            bytes=self._used_pages() * PAGE_BYTES,
            oldest_seconds=max(0.0, time.time() - oldest_at) if oldest_at is not None else 0.0,
        )

    def check(self) -> None:
        """Return if a small event could be taken now; it is tried on the disk. Errors: SpoolUnavailableError."""
        if self._used_pages() > self.max_bytes // PAGE_BYTES - HEADROOM_PAGES:
            raise SpoolUnavailableError("the spool is full")
        with self._transaction() as writer:
            writer.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (2 * PAGE_BYTES,))

    def shrink(self) -> None:
        """Give the disk back what an empty spool does not need, and the events' traces with it."""
        with self._writing, contextlib.suppress(sqlite3.Error, OSError):
            writer = self._open_writer()
            [(pages,)] = writer.execute("PRAGMA page_count").fetchall()
            if pages > SMALL_PAGES or self._log_path.stat().st_size > SMALL_PAGES * PAGE_BYTES:
                writer.execute("VACUUM")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._writing, self._reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    @property
    def path(self) -> Path:
        return self.folder / FILE_NAME

    @property
    def _log_path(self) -> Path:
        return self.folder / f"{FILE_NAME}-wal"

    def _settle_deposits(self) -> None:
        with self._depositing:
            deposits, self._deposits = self._deposits, []
        self._settle(deposits)
        if len(deposits) > 1 and deposits[0].error is not None:
            for deposit in deposits:  # a large one must not take the room of those that fit
                self._settle([deposit])

    def _settle(self, deposits: list[_Deposit]) -> None:
        rows = [row for deposit in deposits for row in deposit.rows]
        error = self._try_write(rows)
        for deposit in deposits:
            deposit.error = error
            deposit.is_settled = True

    def _try_write(self, rows: list[tuple[float, str]]) -> sqlite3.Error | OSError | None:
        try:
            with _committed(self._open_writer()) as writer:
                writer.executemany("INSERT INTO spooled (at, message) VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            return error
        return None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            try:
                with _committed(self._open_writer()) as writer:
                    yield writer
            except (sqlite3.Error, OSError) as error:
                raise SpoolUnavailableError(_reason(error)) from error

    def _select(self, query: str, parameters: tuple[int, ...] = ()) -> list[Any]:
        with self._reading:
            try:
                return self._open_reader().execute(query, parameters).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise SpoolUnavailableError(_reason(error)) from error

    def _used_pages(self) -> int:
        [(pages,)], [(free,)] = self._select("PRAGMA page_count"), self._select("PRAGMA freelist_count")
        return int(pages) - int(free)

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = _open(self.folder, max_pages=self.max_bytes // PAGE_BYTES)
        return self._writer

    def _open_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = _open(self.folder, max_pages=self.max_bytes // PAGE_BYTES)
        return self._reader


def _open(folder: Path, *, max_pages: int) -> sqlite3.Connection:
    """A connection to the file, which is made if it is not there. Errors: sqlite3.Error, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE_NAME
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # its log and its index get the same mode from SQLite
    connection = sqlite3.connect(path, timeout=LOCKED_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(f"{_PRAGMAS} PRAGMA max_page_count={max_pages};{_TABLES}")
    except BaseException:
        connection.close()
        raise
    _sync_folder(folder)
    return connection


def _sync_folder(folder: Path) -> None:
    """Put the file's name on the disk too; SQLite does so for its log only."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, on the disk when it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def _reason(error: Exception) -> str:
    """In words that may be shown: no path, no content."""
    if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
        return "the spool or its disk is full"
    if isinstance(error, sqlite3.Error):
        return f"the spool's disk or file refuses ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    return f"the spool's folder cannot be used ({type(error).__name__})"


def _dump(message: TaskMessage) -> str:
    return json.dumps(asdict(message), separators=(",", ":"))  # ASCII: a lone surrogate has no UTF-8


def _load(text: str) -> TaskMessage | None:
    try:
        values = json.loads(text)
        args, kwargs, embed = values.pop("body")
        message = TaskMessage(body=(args, kwargs, embed), **values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return message if message.queue in all_queues() else None
