"""Replays of many letters: what waits for its turn, what is under way, and how the rest ended.

Shape: `sync:replay:<id>`, a hash: run (JSON), total, closed, failed, skipped, cancelled_at, cancelled_by;
`sync:replay:<id>:pending`, a sorted set of letters by the microsecond of their first failure;
`sync:replay:<id>:under_way`, a sorted set of letters by the microsecond of their sending.
Sorted sets of runs by the microsecond of their start: `sync:replays`, `sync:replays:unfinished`.
A run with nothing pending expires after KEPT_SECONDS; any other never.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from sync_worker.domain.letter import ReplayRun, Selection
from sync_worker.store.client import load_script, translating
from sync_worker.store.letter_places import ORDER_KEY, microseconds, order_key

LOST_AFTER = timedelta(minutes=15)  # what was sent and heard of no more may be sent by others: it counts as failed
KEPT_SECONDS = 30 * 24 * 3600  # a finished run: long enough to look back at last month's clean-up
_RUNS, _UNFINISHED = "sync:replays", "sync:replays:unfinished"


def _real_now() -> datetime:
    return datetime.now(UTC)


class RedisReplays:
    """Each step is one script that does nothing the second time."""

    def __init__(self, client: redis.Redis, *, now: Callable[[], datetime] = _real_now) -> None:
        self._client = client
        self._now = now
        self._start = load_script(client, "settle_replay", "start_replay")
        self._step = load_script(client, "settle_replay", "step_replay")
        self._cancel = load_script(client, "settle_replay", "cancel_replay")

    @translating()
    def start(self, run: ReplayRun) -> ReplayRun:
        """Copies ids inside Redis, so that a hundred thousand take no longer than the copying."""
        source = ORDER_KEY if run.selection.ids else order_key(run.selection)
        total = self._start(
            keys=[*_keys(run.id), _RUNS, source],
            args=[run.id, _dump_run(run), microseconds(run.at), KEPT_SECONDS, *run.selection.ids],
        )
        return replace(run, total=total, pending=total)

    @translating()
    def get(self, run_id: str) -> ReplayRun | None:
        return next(iter(self._load([run_id])), None)

    @translating()
    def page(self, *, limit: int = 20) -> list[ReplayRun]:
        ids: Any = self._client.zrevrange(_RUNS, 0, limit - 1) if limit > 0 else []
        return self._load(ids)

    @translating()
    def unfinished(self) -> list[ReplayRun]:
        ids: Any = self._client.zrange(_UNFINISHED, 0, -1)
        return [run for run in self._load(ids) if run.pending]

    @translating()
    def next(self, run_id: str, *, limit: int) -> list[str]:
        ids: Any = self._client.zrange(_pending_key(run_id), 0, limit - 1) if limit > 0 else []
        return list(ids)

    @translating()
    def sent(self, run_id: str, letter_id: str, *, at: datetime) -> None:
        """Nothing where it is not pending: it was sent before, or the run was cancelled."""
        self._take(run_id, letter_id, "sent", at)

    @translating()
    def skipped(self, run_id: str, letter_id: str) -> None:
        self._take(run_id, letter_id, "skipped", self._now())

    @translating()
    def ended(self, run_id: str, letter_id: str, *, closed: bool) -> None:
        """Nothing where it is not under way. What counted as lost counts as what it came to."""
        self._take(run_id, letter_id, "closed" if closed else "failed", self._now())

    @translating()
    def cancel(self, run_id: str, *, by: str, at: datetime) -> ReplayRun | None:
        """A run that has nothing left to do stays what it is; the first of two who cancel is remembered."""
        self._cancel(keys=_keys(run_id), args=[run_id, KEPT_SECONDS, at.isoformat(), by])
        return self.get(run_id)

    def _take(self, run_id: str, letter_id: str, step: str, at: datetime) -> None:
        self._step(keys=_keys(run_id), args=[run_id, KEPT_SECONDS, letter_id, step, microseconds(at)])

    def _load(self, ids: Iterable[str]) -> list[ReplayRun]:
        """All as they are at one moment, in this order; those that have expired are left out."""
        lost_before = microseconds(self._now() - LOST_AFTER)
        with self._client.pipeline() as pipeline:
            for run, pending, under_way, _ in map(_keys, ids):
                pipeline.hgetall(run)
                pipeline.zcard(pending)
                pipeline.zcount(under_way, lost_before, "+inf")
                pipeline.zcount(under_way, "-inf", f"({lost_before}")
            answers = iter(pipeline.execute())
        runs = zip(answers, answers, answers, answers, strict=True)
        return [_read_run(fields, *counts) for fields, *counts in runs if fields]


def _keys(run_id: str) -> tuple[str, str, str, str]:
    return f"sync:replay:{run_id}", _pending_key(run_id), f"sync:replay:{run_id}:under_way", _UNFINISHED


def _pending_key(run_id: str) -> str:
    return f"sync:replay:{run_id}:pending"


def _dump_run(run: ReplayRun) -> str:
    """What of it does not change, as JSON."""
    return json.dumps({"id": run.id, "by": run.by, "at": run.at.isoformat(), "selection": asdict(run.selection)})


def _read_run(fields: Mapping[str, str], pending: int, under_way: int, lost: int) -> ReplayRun:
    fixed = json.loads(fields["run"])
    cancelled_at = fields.get("cancelled_at")
    return ReplayRun(
        id=fixed["id"],
        by=fixed["by"],
        at=datetime.fromisoformat(fixed["at"]),
        selection=Selection(**fixed["selection"] | {"ids": tuple(fixed["selection"]["ids"])}),
        total=int(fields["total"]),
        pending=pending,
        under_way=under_way,
        closed=int(fields.get("closed", 0)),
        failed=int(fields.get("failed", 0)) + lost,
        skipped=int(fields.get("skipped", 0)),
        cancelled_at=datetime.fromisoformat(cancelled_at) if cancelled_at else None,
        cancelled_by=fields.get("cancelled_by", ""),
    )
