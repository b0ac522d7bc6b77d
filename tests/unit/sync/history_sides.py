"""The world of the histories: two systems that announce what is written in them, and everything that may go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord, bitrix24_type
from sync_worker.errors import LinkBroken, OutcomeUnknown, RemoteRejected, RemoteUnavailable, StoreUnavailable
from tests.fakes.gateways import FakeCounterpartySide

MOMENTS = {
    "crash": 25,
    "crash in a write": 6,
    "lost answer": 2,
    "remote down": 4,
    "store down": 15,
    "edit meanwhile": 4,
    "not acknowledged": 1,
}
"""What may befall a piece of work, and how many moments there are for it in a long one."""
CRASHES = ("crash", "crash in a write")
WRITES = ("create", "update")


class Crash(BaseException):
    """The worker's process is killed: nothing that it remembers outlives it."""


@dataclass(frozen=True)
class Fate:
    """What befalls one piece of work, at the how-manieth moment at which it could."""

    kind: str  # of MOMENTS
    at: int


@dataclass(frozen=True)
class Moment:
    """Just before or just after a call."""

    fate: str
    store: str  # or remote
    call: str
    is_remote: bool
    is_done: bool

    def follows(self, call: str) -> bool:
        return self.is_done and self.call == call

    def precedes(self, call: str) -> bool:
        return not self.is_done and self.call == call

    @property
    def can_be(self) -> bool:
        """True where this may befall somebody just then."""
        if self.fate == "crash":
            return True
        if self.fate == "crash in a write":
            return self.call in (*WRITES, "save")
        if self.fate == "lost answer":
            return self.is_remote and self.is_done and self.call in WRITES
        if self.fate == "store down":
            return not self.is_remote
        return self.fate != "not acknowledged" and self.is_remote and not self.is_done


class Fuse:
    """Burns down with each call of a remote or store; when it is through, the fate strikes."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None  # somebody edits a record in the middle of the work
        self.struck: list[Moment] = []  # of this piece of work
        self._fate: Fate | None = None
        self._left = 0

    def arm(self, fate: Fate | None) -> None:
        self._fate, self._left = fate, fate.at % MOMENTS[fate.kind] if fate else 0
        self.struck.clear()

    def burn(self, store: str, call: str, *, is_remote: bool, is_done: bool) -> None:
        if self._fate is None:
            return
        moment = Moment(self._fate.kind, store, call, is_remote, is_done)
        if not moment.can_be:
            return
        self._left -= 1
        if self._left < 0:
            self._fate = None
            self.struck.append(moment)
            self._strike(moment.fate)

    def _strike(self, fate: str) -> None:
        if fate == "edit meanwhile":
            self.meanwhile()
        elif fate in CRASHES:
            raise Crash
        elif fate == "lost answer":
            raise OutcomeUnknown("no answer")
        elif fate == "remote down":
            raise RemoteUnavailable("503")
        else:
            raise StoreUnavailable("no answer")


class Wired:
    """A remote or a store whose every call may be the one at which the fuse is through."""

    def __init__(self, name: str, inner: Any, fuse: Fuse, *, is_remote: bool) -> None:
        self.inner = inner
        self._name, self._fuse, self._is_remote = name, fuse, is_remote

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self.inner, attribute)
        if not callable(found):
            return found
        name, fuse, is_remote = self._name, self._fuse, self._is_remote

        def called(*args: Any, **kwargs: Any) -> Any:
            fuse.burn(name, attribute, is_remote=is_remote, is_done=False)
            result = found(*args, **kwargs)
            fuse.burn(name, attribute, is_remote=is_remote, is_done=True)
            return result

        setattr(self, attribute, called)  # the next one is found at once
        return called


class Side(FakeCounterpartySide):
    """A side that tells of each write, gives out ids in order, and refuses what the real one refuses.

    On the portal a write returns the older view of what it did not write, as the gateway does: an edit that somebody
    made meanwhile has an event of its own.
    """

    def __init__(
        self,
        system: System,
        *,
        unknown_people: frozenset[str],
        hear: Callable[[CounterpartyRecord | None, CounterpartyRecord], None],
        trace: list[str],
    ) -> None:
        super().__init__(system, unknown_people=unknown_people)
        self.hear = hear
        self.trace = trace
        self.ever: dict[RecordRef, None] = {}  # all that ever were here
        self.made_from: CounterpartyRecord | None = None  # the newest one here
        self._made = 0

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        self.trace.append(f"read {ref}")
        return super().read(ref)

    def create(self, record: CounterpartyRecord, **known: Any) -> CounterpartyRecord:
        self.trace.append(f"create in {self.system} of {record.ref} {dict(record.fields)}")
        self._refuse(record.fields)
        self.made_from = record
        named = self._name_of(record.ref)
        marked = [one.ref for one in self.records.values() if one.other_ref == named and one.is_deleted]
        if self.system is System.ONEC and marked:
            raise LinkBroken(f"{marked[0]} is marked for deletion")
        return super().create(record, **known)

    def update(self, current: CounterpartyRecord, changes: Mapping[str, Any], **rest: Any) -> CounterpartyRecord:
        if not changes and current.other_ref == self._name_of(rest["source"].ref):
            return current  # no call is made
        self.trace.append(f"update {current.ref} {sorted(changes.items())} relink={rest.get('relink')}")
        stored = self.records.get(current.ref)
        if stored is None or stored.is_deleted:
            raise LinkBroken(f"{current.ref} is gone")
        self._refuse(changes)
        after = super().update(current, changes, **rest)
        if self.system is System.ONEC:
            return after
        kept = {name: value for name, value in current.fields.items() if name not in changes}
        return replace(after, fields={**after.fields, **kept})

    def new_ref(self, kind: Kind) -> RecordRef:
        return self._new_ref(kind)

    def _refuse(self, fields: Mapping[str, Any]) -> None:
        if self.system is System.ONEC and not fields.get("name", "any"):
            raise RemoteRejected("1C needs a name", code="validation", field="name")

    def _new_ref(self, kind: Kind) -> RecordRef:
        self._made += 1
        if self.system is System.ONEC:
            return onec_ref(RecordType.COUNTERPARTY, f"00000000-0000-4000-8000-{self._made:012d}")
        return bitrix24_ref(bitrix24_type(kind), self._made)

    def _write(self, record: CounterpartyRecord) -> CounterpartyRecord:
        before = self.records.get(record.ref)
        after = super()._write(replace(record, fields={"responsible": None, **record.fields}))
        self.ever[record.ref] = None
        self.hear(before, after)
        return after
