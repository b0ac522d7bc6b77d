"""What happened: to one record (its story), and by whose hand (the audit)."""

from __future__ import annotations

from sync_worker.desk.asked import next_trail, read_text, way_back
from sync_worker.desk.page import NO_CURSOR, DeskPage, Refused
from sync_worker.domain.identity import RecordRef
from sync_worker.domain.letter import Deed
from sync_worker.domain.story import StoryEntry
from sync_worker.entities.named import RECORD_ENTITIES
from sync_worker.sync.office import DeadLetterOffice

NO_RECORD = 'Say which record: "contact 42", "deal:7", "order" with its UUID, or "bitrix24:contact:42".'
PAGE_DEEDS = 100


class StoryPage(DeskPage):
    """?record= names it; without it the page asks."""

    async def get(self) -> None:
        text = self.asked("record")
        record = self._record(text) if text else None
        entries = await self.ask(lambda: read_story(self.desk.office, record)) if record else []
        self.show("story.html", wanted=text, record=record, entries=entries, record_words=RECORD_ENTITIES)

    def _record(self, text: str) -> RecordRef:
        try:
            return read_text(text)
        except ValueError as error:
            raise Refused(400, NO_RECORD) from error


def read_story(office: DeadLetterOffice, record: RecordRef) -> list[StoryEntry]:
    """The newest first."""
    return office.story(record)[::-1]


class AuditPage(DeskPage):
    async def get(self) -> None:
        after, trail = self.asked("after"), self.get_query_arguments("trail")
        deeds, following = await self.ask(lambda: read_audit(self.desk.office, after))
        self.show(
            "audit.html",
            deeds=deeds,
            older=self.page_at(following, next_trail(trail, after)) if following else None,
            newer=self.page_at(*back) if (back := way_back(trail)) else None,
        )


def read_audit(office: DeadLetterOffice, after: str) -> tuple[list[Deed], str | None]:
    """The newest first. Errors: Refused where `after` is no cursor."""
    try:
        return office.audit.page(after=after or None, limit=PAGE_DEEDS)
    except ValueError as error:
        raise Refused(400, NO_CURSOR) from error
