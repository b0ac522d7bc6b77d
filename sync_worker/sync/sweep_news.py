"""Which of the records that a sweep lists still need a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sync_worker.contract import Change, ChangeEvent, OnecState
from sync_worker.domain.drift import Carrying, Heard, OnecChange, Stamped, bell_name, heard_of
from sync_worker.domain.identity import PARTNER_TYPE, EntityKind, Lane, RecordRef, RecordType, System, onec_ref
from sync_worker.domain.link import names_of
from sync_worker.sync.ports import Clock, DeadLetters, Links, Memories, Reads, Stories

ENTITY_OF = {
    RecordType.CONTACT: EntityKind.CONTACT,
    RecordType.COMPANY: EntityKind.CONTACT,
    RecordType.REQUISITE: EntityKind.CONTACT,
    RecordType.COUNTERPARTY: EntityKind.CONTACT,
    RecordType.LEAD: EntityKind.LEAD,
    RecordType.DEAL: EntityKind.DEAL,
    RecordType.INVOICE: EntityKind.INVOICE,
    RecordType.ORDER: EntityKind.STATUS,
}
_NOTHING_YET = "failed"  # what a story says of a try after which another one follows


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """Asks our own state only: neither system is called."""

    links: Links
    memories: Memories
    reads: Reads
    letters: DeadLetters
    stories: Stories
    clock: Clock

    def heard(self, stamped: Stamped, under_way: Mapping[str, int]) -> Heard:
        """Did an event make somebody look at this portal's record since it changed, or will it yet?"""
        entity = ENTITY_OF[stamped.ref.type]
        began = self.reads.began(entity, stamped.ref, whole=stamped.whole)
        heard = heard_of(changed_at=stamped.changed_at, began=began, now=self.clock.now())
        if heard is Heard.YES or not self.is_open(entity, stamped.ref, under_way, whole=stamped.whole):
            return Heard.YES
        return heard

    def is_open(self, entity: EntityKind, ref: RecordRef, under_way: Mapping[str, int], *, whole: bool = False) -> bool:
        """True where nobody has the record in hand: no event of it waits, and no person is asked about it."""
        return bell_name(entity, ref, whole=whole) not in under_way and not self._waits_for_person(entity, ref)

    def is_orphan(self, carrying: Carrying) -> bool:
        """A record with a 1C ref that we know nothing of.

        Copying a deal on the portal copies the ref: one that is another record's is not lost. Who was looked at
        lately has no link because the rules keep it out.
        """
        ref, partner = carrying.ref, onec_ref(PARTNER_TYPE[carrying.ref.type], carrying.onec_id)
        if self.links.find(ref) is not None or self.links.find(partner) is not None:
            return False
        return self.reads.began(ENTITY_OF[ref.type], ref, whole=False) is None

    def is_news(self, change: OnecChange, under_way: Mapping[str, int]) -> bool:
        """False where the state that 1C has registered was handled, will be, or is about nothing of ours."""
        entity, ref = ENTITY_OF[change.ref.type], change.ref
        link = self.links.find(ref)
        if link is not None and link.deleted_in is System.BITRIX24:
            return False
        if change.ref.type is RecordType.ORDER and not _is_of_a_deal(change, is_linked=link is not None):
            return False
        keeper = link.bitrix24 if link is not None and entity is EntityKind.CONTACT else ref
        handled = self.memories.get(entity, keeper).sequence
        newest = max(handled, under_way.get(bell_name(entity, ref), 0), self._asked_about(entity, ref))
        return change.sequence > newest

    def is_answered(self, event: ChangeEvent) -> bool:
        """True once an event that a sweep has handed over came to something."""
        if event.onec is not None:
            if not self.is_news(as_change(event), {}):
                return True
        else:
            began = self.reads.began(event.entity, event.record, whole=event.whole)
            if began is not None and began >= event.seen_at:
                return True
        return self._waits_for_person(event.entity, event.record) or self._is_told(event)

    def _is_told(self, event: ChangeEvent) -> bool:
        return any(
            entry.trace == event.trace and entry.what != _NOTHING_YET for entry in self.stories.read(event.record)
        )

    def _waits_for_person(self, entity: EntityKind, ref: RecordRef) -> bool:
        letter = self.letters.of_record(entity, self._names(ref))
        return letter is not None and letter.holds_back

    def _asked_about(self, entity: EntityKind, ref: RecordRef) -> int:
        """The write counter of the state that a person is asked about."""
        letter = self.letters.of_record(entity, self._names(ref))
        state = letter.event.get("onec") if letter is not None else None
        return int(state["sequence"]) if state else 0

    def _names(self, ref: RecordRef) -> tuple[RecordRef, ...]:
        return names_of(ref, self.links.find(ref))


def _is_of_a_deal(change: OnecChange, *, is_linked: bool) -> bool:
    """An order that no deal made moves nothing, and so does one whose status the base does not tell."""
    if change.external_id is None and not is_linked:
        return False
    return change.data is None or change.data.get("status") is not None


def as_event(change: OnecChange, *, seen_at: datetime, trace: str) -> ChangeEvent:
    """What the ingress makes of the same change, in the bulk lane."""
    return ChangeEvent(
        entity=ENTITY_OF[change.ref.type],
        record=change.ref,
        change=Change.DELETED if change.data is None else Change.CHANGED,
        seen_at=seen_at,
        trace=trace,
        lane=Lane.BULK,
        onec=OnecState(
            data=change.data,
            sequence=change.sequence,
            version=change.version,
            external_id=change.external_id,
            event_id=change.event_id,
        ),
    )


def as_change(event: ChangeEvent) -> OnecChange:
    """Of an event that carries 1C's state."""
    assert event.onec is not None  # noqa: S101  # the caller has looked
    return OnecChange(
        ref=event.record,
        data=None if event.change is Change.DELETED else event.onec.data,
        sequence=event.onec.sequence,
        version=event.onec.version,
        external_id=event.onec.external_id,
        event_id=event.onec.event_id,
    )
