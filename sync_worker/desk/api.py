"""`GET /api/dead-letters`: the letters and their groups for a machine, with the filters of the page."""

from __future__ import annotations

import json
from typing import Any

from flower.api import BaseApiHandler
from tornado import web

from sync_worker.desk.asked import MOST_LETTERS, PAGE_LETTERS, selection
from sync_worker.desk.page import NO_CURSOR, DeskPage, Refused
from sync_worker.domain.letter import Selection
from sync_worker.sync.for_machines import group_for_machines, letter_for_machines
from sync_worker.sync.office import DeadLetterOffice

NO_LIMIT = "The limit is a number from 1 to 500."


class LettersApi(DeskPage, BaseApiHandler):  # type: ignore[misc]  # Flower has no types
    """Flower's rules for its API, and the desk's: never without a login."""

    def prepare(self) -> None:
        BaseApiHandler.prepare(self)
        DeskPage.prepare(self)

    async def get(self) -> None:
        wanted = selection(self.asked("cause"), self.asked("entity"), self.asked("group"))
        word, after, limit = self.asked("q"), self.asked("after"), self._limit()
        found = await self.ask(lambda: read_for_machines(self.desk.office, wanted, word=word, after=after, limit=limit))
        self.write(found)

    def _limit(self) -> int:
        text = self.asked("limit") or str(PAGE_LETTERS)
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_LETTERS):
            raise Refused(400, NO_LIMIT)
        return int(text)

    def write_error(self, status_code: int, **named: Any) -> None:
        error = named["exc_info"][1] if "exc_info" in named else None
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        told = error.sentence if isinstance(error, Refused) else None
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps({"error": told or (error.get_message() if isinstance(error, web.HTTPError) else None)}))


def read_for_machines(
    office: DeadLetterOffice, wanted: Selection, *, word: str, after: str, limit: int
) -> dict[str, Any]:
    """Shape: {"letters": [...], "next", "count", "groups": [...]}; a search has one page."""
    if word:
        letters, following = office.letters.search(word, limit=limit), None
        count = len(letters)
    else:
        try:
            letters, following = office.letters.page(wanted, after=after or None, limit=limit)
        except ValueError as error:
            raise Refused(400, NO_CURSOR) from error
        count = office.letters.count(wanted)
    return {
        "letters": [letter_for_machines(letter) for letter in letters],
        "next": following,
        "count": count,
        "groups": [group_for_machines(group) for group in office.groups()],
    }
