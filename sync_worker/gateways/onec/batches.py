"""Items for one resource that come at the same moment leave as one POST; each gets the result at its own place.

While a slot is free an item leaves at once, alone. While all are used, items wait and leave together: no more than the
base takes, and no more than it does in good time. Live and bulk items never share a POST, and live ones ask for their
slot as live, so that none waits behind a bulk POST that has not left yet.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sync_worker.domain.identity import Lane
from sync_worker.errors import LeaseLost, OutcomeUnknown, RemoteRejected, RemoteUnavailable, SyncError
from sync_worker.gateways.fence import Fence, no_fence
from sync_worker.gateways.group_commit import GroupCommit, Journey, Ticket

# Far below the read timeout: costs are guesses, and the next item may be a large one. Whoever comes live may have to
# wait for a bulk POST that has left.
POST_SECONDS: Mapping[Lane, float] = {Lane.LIVE: 30.0, Lane.BULK: 10.0}
FIRST_ITEM_SECONDS = 0.5  # before anything is known; ordinary calls take 0.1 to 2 s (notes on 1C, 1.6)
LONGEST_TRACES = 1000  # characters in the header
COMPANIONS_LEFT = 1 / 8  # of those whose POST was lost, how many may travel together the next time
KEPT_ITEMS = 10_000  # whose POST was lost lately

Result = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """One item of the contract's batches, and the trace of the event that it is sent for."""

    item: Mapping[str, Any]
    trace: str | None
    fence: Fence = no_fence

    @property
    def external_id(self) -> str:
        return str(self.item.get("external_id"))

    def keys(self) -> set[str]:
        """What names its object: two items with one key in common do not share a POST."""
        return {str(self.item[name]) for name in ("external_id", "ref") if self.item.get(name)}


Seat = Ticket[Parcel, Result]


class Post(Protocol):
    def __call__(self, path: str, body: Mapping[str, Any], *, trace: str | None, fence: Fence) -> Mapping[str, Any]:
        """Send in the slot that is held, and return the answer. Errors: those of the call, and of `fence` before it."""


class Hold(Protocol):
    def __call__(self, lane: Lane, max_wait_seconds: float) -> AbstractContextManager[Post]:
        """Hold a slot for the block. Errors: RateLimited where none was free in time."""


class Batches:
    """The lines of one client, one a resource and lane. Thread-safe.

    Whoever was aboard a POST whose answer was lost travels in much smaller company the next time, and then alone: so
    an item on which 1C breaks takes others down twice at most, while a cut network does not cost a POST an item.
    """

    def __init__(self, *, hold: Hold, wait_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`wait_seconds`: how long an item waits to leave."""
        self._hold = hold
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._max_items = 1  # until the base has said what it takes
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, Lane], GroupCommit[Parcel, Result]] = {}
        self._rooms: dict[str, int] = {}  # path -> how many it takes, where it refused what its base allows
        self._paces: dict[str, Pace] = {}
        self._companies: OrderedDict[str, int] = OrderedDict()  # external id -> how many its next POST may have

    def allow(self, max_items: int) -> None:
        """What the base says that it takes in one POST. What was refused before is tried again."""
        with self._lock:
            self._max_items = max(1, max_items)
            self._rooms.clear()

    def send(
        self, path: str, item: Mapping[str, Any], *, lane: Lane, trace: str | None, fence: Fence = no_fence
    ) -> Result:
        """Send one item, and return its result. `fence` is asked right before the POST leaves.

        Errors: RateLimited, those of the fence, and those of the call; OutcomeUnknown only where the item was sent.
        """
        return self._line(path, lane).run(Parcel(item=item, trace=trace, fence=fence))

    def _line(self, path: str, lane: Lane) -> GroupCommit[Parcel, Result]:
        with self._lock:
            if (path, lane) not in self._lines:
                self._lines[path, lane] = GroupCommit(lambda journey: self._travel(path, lane, journey))
            return self._lines[path, lane]

    def _travel(self, path: str, lane: Lane, journey: Journey[Parcel, Result]) -> None:
        """The leader, who has waited longest, waits for a slot and takes along whoever came meanwhile."""
        waited_seconds = self._monotonic() - journey.waiting()[0].came_at
        with self._hold(lane, max(0.0, self._wait_seconds - waited_seconds)) as post:
            with self._lock:
                seats = first_to_leave(journey.waiting(), room=self._room(path, lane), companies=self._companies)
            journey.depart(seats)
            self._deliver(path, seats, post)

    def _room(self, path: str, lane: Lane) -> int:
        in_time = self._pace(path).items_in(POST_SECONDS[lane])
        return min(self._max_items, self._rooms.get(path, self._max_items), in_time)

    def _pace(self, path: str) -> Pace:
        return self._paces.setdefault(path, Pace())

    def _deliver(self, path: str, seats: Sequence[Seat], post: Post) -> None:
        """Send, in halves where the whole is refused, so that one item that cannot be read fails alone."""
        parts = [list(seats)]
        while parts:
            part = parts.pop(0)
            try:
                self._deliver_part(path, part, post)
            except LeaseLost:  # of some of them, and nothing was sent
                kept = [seat for seat in part if _passes_fence(seat)]
                parts[:0] = [kept] if kept else []
            except RemoteRejected as refusal:
                if len(part) > 1:
                    self._note_refusal(path, part, refusal)
                    half = len(part) // 2
                    parts[:0] = [part[:half], part[half:]]
                else:
                    _fail(part, refusal)
            except SyncError as error:
                _fail(part, error)
                _fail((seat for rest in parts for seat in rest), _unsent(error))
                return

    def _deliver_part(self, path: str, seats: Sequence[Seat], post: Post) -> None:
        started = self._monotonic()
        try:
            body = {"items": [seat.item.item for seat in seats]}
            traces = join_traces(seat.item.trace for seat in seats)
            answer = post(path, body, trace=traces, fence=lambda: _ask_fences(seats))
            results = read_results(path, [seat.item for seat in seats], answer)
        except OutcomeUnknown:
            self._note_post(path, seats, started, is_lost=True)
            raise
        self._note_post(path, seats, started)
        for seat, result in zip(seats, results, strict=True):
            if isinstance(result, OutcomeUnknown):
                seat.fail(result)
            else:
                seat.answer(result)

    def _note_post(self, path: str, seats: Sequence[Seat], started: float, *, is_lost: bool = False) -> None:
        """Remember what a POST tells of the next ones."""
        company = max(1, int(len(seats) * COMPANIONS_LEFT))
        with self._lock:
            self._pace(path).note(len(seats), self._monotonic() - started, is_lost=is_lost)
            for seat in seats:
                self._companies.pop(seat.item.external_id, None)
                if is_lost:
                    self._companies[seat.item.external_id] = company
            while len(self._companies) > KEPT_ITEMS:
                self._companies.popitem(last=False)

    def _note_refusal(self, path: str, part: Sequence[Seat], refusal: RemoteRejected) -> None:
        if refusal.code == "too_many":
            with self._lock:
                self._rooms[path] = max(1, len(part) // 2)


class Pace:
    """How long the base takes for an item: a moving average that one slow call, such as the first, moves little."""

    def __init__(self) -> None:
        self._item_seconds = FIRST_ITEM_SECONDS

    def note(self, items: int, seconds: float, *, is_lost: bool = False) -> None:
        """A POST of so many items took so long. One that was lost says only where that is too long."""
        seen = min(seconds / items, 4 * self._item_seconds)
        if is_lost and seen < self._item_seconds:
            return
        self._item_seconds += 0.3 * (seen - self._item_seconds)

    def items_in(self, seconds: float) -> int:
        """How many are done in this time; at least 1."""
        return max(1, int(seconds / max(self._item_seconds, 1e-6)))


def first_to_leave(line: Sequence[Seat], *, room: int, companies: Mapping[str, int]) -> list[Seat]:
    """Those of the line that share the next POST, in the order of coming; the first of them always.

    Who has a key of somebody before him stays behind, and so does who has to travel in smaller company.
    """
    chosen: list[Seat] = []
    keys_before: set[str] = set()
    for seat in line:
        company = companies.get(seat.item.external_id, room)
        if len(chosen) < min(room, company) and keys_before.isdisjoint(seat.item.keys()):
            chosen.append(seat)
            room = min(room, company)
        keys_before |= seat.item.keys()
        if len(chosen) >= room:
            break
    return chosen


def read_results(path: str, parcels: Sequence[Parcel], answer: Mapping[str, Any]) -> list[Result | OutcomeUnknown]:
    """One result a parcel, by its place; the contract echoes place and external id, and another's is not believed.

    Errors: OutcomeUnknown where the answer has not one result an item.
    """
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != len(parcels):
        raise OutcomeUnknown(f"1C {path}: the answer does not have one result an item")
    return [
        result if _is_of(result, place, parcel) else OutcomeUnknown(f"1C {path}: the answer has no result for the item")
        for place, (parcel, result) in enumerate(zip(parcels, results, strict=True))
    ]


def join_traces(traces: Iterable[str | None]) -> str | None:
    """The traces of all items for one header; how many were left out, where they are too many. None for none."""
    different = list(dict.fromkeys(trace for trace in traces if trace))
    kept = list(different)
    while len(kept) > 1 and len(",".join(kept)) > LONGEST_TRACES:
        kept.pop()
    more = [f"+{len(different) - len(kept)}"] if len(kept) < len(different) else []
    return ",".join(kept + more) or None


def _is_of(result: Any, place: int, parcel: Parcel) -> bool:
    return (
        isinstance(result, Mapping)
        and result.get("index", place) == place
        and result.get("external_id", parcel.external_id) in (parcel.external_id, None)
    )


def _ask_fences(seats: Iterable[Seat]) -> None:
    for seat in seats:
        seat.item.fence()


def _passes_fence(seat: Seat) -> bool:
    """False where it was told that it may not leave any more."""
    try:
        seat.item.fence()
    except LeaseLost as error:
        seat.fail(error)
        return False
    return True


def _unsent(error: SyncError) -> SyncError:
    """What it means for items that were to follow in the same slot."""
    return RemoteUnavailable(f"it was not sent: {error}") if isinstance(error, OutcomeUnknown) else error


def _fail(seats: Iterable[Seat], error: SyncError) -> None:
    for seat in seats:
        seat.fail(copy.copy(error))  # threads that raise one and the same would write into each other's traceback
