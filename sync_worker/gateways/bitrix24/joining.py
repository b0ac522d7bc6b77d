"""Groups of commands -> one request, and its answers -> theirs. Pure: what leaves together, and who gets what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.commands import MAX_BATCH, Batch, ById, Command, Group
from sync_worker.gateways.bitrix24.query import command_text

BATCH_SECONDS = 40.0  # the portal cuts a request at 60 s, and costs are guesses
DEFAULT_COST_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """Where the answer to one command of a group is found."""

    key: str  # of the command that was sent
    command: Command  # as its caller asked
    row_id: str | None = None  # which row of a list by ids; None: the whole answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What leaves as one HTTP request."""

    commands: Mapping[str, Command]
    prefixes: Mapping[str, str]  # command key -> prefix of its group, for references
    seats: tuple[Mapping[str, Seat], ...]  # one mapping a group, by the group's own keys
    halt: bool = False

    @property
    def is_batch(self) -> bool:
        return len(self.commands) > 1

    def methods(self) -> dict[str, int]:
        return dict(Counter(command.method for command in self.commands.values()))

    def methods_of(self, place: int) -> set[str]:
        """What is called for the group at this place: a list, where its reads are rows of one."""
        return {self.commands[seat.key].method for seat in self.seats[place].values()}

    def texts(self) -> dict[str, str]:
        return {
            key: command_text(command.method, command.params, prefix=self.prefixes[key])
            for key, command in self.commands.items()
        }


@dataclass(kw_only=True, slots=True)
class _Draft:
    """A request in the making."""

    ids: Mapping[ById, Sequence[str]]  # kind of read -> all that is asked for
    commands: dict[str, Command] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    shared: dict[ById, str] = field(default_factory=dict)  # kind of read -> key of the one command that answers it

    def seat(self, key: str, command: Command, prefix: str) -> Seat:
        self.commands[prefix + key] = command
        self.prefixes[prefix + key] = prefix
        return Seat(key=prefix + key, command=command)

    def shared_seat(self, key: str, command: Command, by_id: ById, prefix: str) -> Seat:
        """A row of a list; where all want the same record, the answer of whoever asked first."""
        kind = _kind(by_id)
        is_list = len(self.ids[kind]) > 1
        if kind not in self.shared:
            self.shared[kind] = f"list{len(self.shared)}" if is_list else prefix + key
            sent = _list_command(kind, self.ids[kind]) if is_list else command
            self.seat(self.shared[kind], sent, "")
        if not is_list and self.commands[self.shared[kind]] != command:
            return self.seat(key, command, prefix)
        return Seat(key=self.shared[kind], command=command, row_id=by_id.id if is_list else None)


def arrange(groups: Sequence[Group]) -> Request:
    """Put groups into one request. Reads of one kind become one list by ids; equal reads become one."""
    reads = [_joinable(group) for group in groups]
    ids = _ids_by_kind(reads)
    is_alone = len(groups) == 1 and all(len(some) == 1 for some in ids.values())  # else a prefix keeps keys apart
    draft, seats = _Draft(ids=ids), []
    for number, (group, joinable) in enumerate(zip(groups, reads, strict=True)):
        prefix = "" if is_alone else f"g{number}_"
        places = {}
        for key, command in group.commands.items():
            if by_id := joinable.get(key):
                places[key] = draft.shared_seat(key, command, by_id, prefix)
            else:
                places[key] = draft.seat(key, command, prefix)
        seats.append(places)
    halt = len(groups) == 1 and groups[0].halt  # a chain leaves alone; a single command has nobody to stop
    return Request(commands=draft.commands, prefixes=draft.prefixes, seats=tuple(seats), halt=halt)


def _joinable(group: Group) -> dict[str, ById]:
    keys = group.joinable()
    return {key: command.by_id for key, command in group.commands.items() if command.by_id and key in keys}


def _kind(by_id: ById) -> ById:
    """What reads that one list can answer have in common."""
    return replace(by_id, id="")


def _ids_by_kind(reads: Sequence[Mapping[str, ById]]) -> dict[ById, tuple[str, ...]]:
    """The different ids that are asked for, by kind of read."""
    found: dict[ById, dict[str, None]] = {}
    for joinable in reads:
        for by_id in joinable.values():
            found.setdefault(_kind(by_id), {})[by_id.id] = None
    return {kind: tuple(ids) for kind, ids in found.items()}


def _list_command(kind: ById, ids: Sequence[str]) -> Command:
    """A list without counting (`start` -1). At most 50 ids, as a batch has at most 50 commands: one page holds them."""
    paging = {"filter": {f"@{kind.id_field}": list(ids)}, "order": {kind.id_field: "ASC"}, "start": -1}
    return Command(method=kind.list_method, params={**paging, **dict(kind.params)})


def first_to_leave(line: Sequence[Group], *, cost_seconds: Mapping[str, float]) -> list[tuple[int, Group]]:
    """What one request can carry, by the place in line: 50 commands, and no more than it may take time for.

    The first always goes; a loose group that is too long for the time is cut. One that leaves alone does so when it is
    the first.
    """
    if line[0].leaves_alone:
        return [(0, line[0])]
    chosen: list[tuple[int, Group]] = []
    room, seconds = MAX_BATCH, BATCH_SECONDS
    for place, group in enumerate(line):
        costs = [cost_seconds.get(command.method, DEFAULT_COST_SECONDS) for command in group.commands.values()]
        if place and (group.leaves_alone or len(costs) > room or sum(costs) > seconds):
            continue  # it is the first before long; a smaller one behind it may fit
        kept = _cut(group, costs, seconds) if group.is_loose else group
        chosen.append((place, kept))
        room -= len(kept.commands)
        seconds -= sum(costs[: len(kept.commands)])
    return chosen


def _cut(group: Group, costs: Sequence[float], seconds: float) -> Group:
    kept = 1
    while kept < len(costs) and sum(costs[: kept + 1]) <= seconds:
        kept += 1
    return replace(group, commands=dict(list(group.commands.items())[:kept]))


def within(groups: Sequence[Group], request: Request, allowed: Mapping[str, int]) -> list[Group | None]:
    """Each group as far as the running time of its methods allows: whole, or cut where it is loose, or None.

    `request`: what `arrange` made of the groups.
    """
    left, taken = dict(allowed), set[str]()
    kept: list[Group | None] = []
    for group, places in zip(groups, request.seats, strict=True):
        room, sent = dict(left), set(taken)
        fitting = {}
        for key, seat in places.items():
            method = request.commands[seat.key].method
            if seat.key in sent or room.get(method, 0) > 0:
                room[method] = room.get(method, 0) - (seat.key not in sent)
                sent.add(seat.key)
                fitting[key] = group.commands[key]
        is_whole = len(fitting) == len(group.commands)
        if is_whole or (fitting and group.is_loose):
            left, taken = room, sent  # who stays behind takes nothing from the others
            kept.append(group if is_whole else replace(group, commands=fitting))
        else:
            kept.append(None)
    return kept


def distribute(
    request: Request,
    results: Mapping[str, Any],
    problems: Mapping[str, Any],
    *,
    error_of: Callable[[Command, Any], SyncError],
) -> list[Batch]:
    """Each group's own answers. One bad command is one error; who is missing in a list by ids is `unseen`.

    A command of which nothing is said, though it was run, gets the error of the problem None.
    """
    unsaid = dict.fromkeys(request.commands.keys() - results.keys() - _not_run(request, problems))
    return [_answers(places, results, {**unsaid, **problems}, error_of) for places in request.seats]


def _not_run(request: Request, problems: Mapping[str, Any]) -> set[str]:
    """With `halt`, the commands behind the first bad one."""
    keys = list(request.commands)
    bad = next((number for number, key in enumerate(keys) if key in problems), len(keys))
    return set(keys[bad + 1 :]) if request.halt else set()


def _answers(
    places: Mapping[str, Seat],
    results: Mapping[str, Any],
    problems: Mapping[str, Any],
    error_of: Callable[[Command, Any], SyncError],
) -> Batch:
    found: dict[str, Any] = {}
    errors: dict[str, SyncError] = {}
    unseen = set()
    for key, seat in places.items():
        if seat.row_id is not None:
            row = _row(results.get(seat.key), seat)
            if row is None:
                unseen.add(key)  # gone, or not to be seen: only its own read tells which. So with a list that failed
            else:
                found[key] = row
        elif seat.key in problems:
            errors[key] = error_of(seat.command, problems[seat.key])
        elif seat.key in results:
            found[key] = results[seat.key]
    return Batch(results=found, errors=errors, unseen=frozenset(unseen))


def _row(rows: Any, seat: Seat) -> Any:
    assert seat.command.by_id is not None  # noqa: S101  # only such commands have a row
    field_ = seat.command.by_id.id_field
    found = rows if isinstance(rows, list) else []
    return next((row for row in found if isinstance(row, dict) and str(row.get(field_)) == seat.row_id), None)
