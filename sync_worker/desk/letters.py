"""The tab's first page: letters by cause, filtered, searched, and what can be done with many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync_worker.desk.asked import PAGE_LETTERS, narrows, next_trail, selection, way_back
from sync_worker.desk.page import NO_CURSOR, DeskPage, Notice, Refused
from sync_worker.domain.identity import EntityKind
from sync_worker.domain.letter import DeadLetter, Group, Selection
from sync_worker.sync.office import DeadLetterOffice, NotPossible

NONE_CHOSEN = "Choose at least one letter."
NO_FILTER = "Choose a cause, an entity or a group first: this would send every letter there is."


@dataclass(frozen=True, kw_only=True, slots=True)
class Letters:
    """What the page shows."""

    wanted: Selection
    groups: list[Group]
    causes: Mapping[str, int]
    letters: list[DeadLetter]
    following: str | None  # the cursor of the next page
    count: int  # of all that are wanted


def read_letters(office: DeadLetterOffice, wanted: Selection, *, after: str) -> Letters:
    """Errors: Refused where `after` is no cursor."""
    try:
        letters, following = office.letters.page(wanted, after=after or None, limit=PAGE_LETTERS)
    except ValueError as error:
        raise Refused(400, NO_CURSOR) from error
    causes = office.letters.count_by_cause()
    count = office.letters.count(wanted)
    return Letters(
        wanted=wanted, groups=office.groups(), causes=causes, letters=letters, following=following, count=count
    )


def find_letters(office: DeadLetterOffice, word: str) -> Letters:
    """By an id, a trace, an ИНН or an e-mail: the whole word."""
    own, found = office.letters.get(word), office.letters.search(word)
    letters = ([own] if own else []) + [letter for letter in found if own is None or letter.id != own.id]
    causes = office.letters.count_by_cause()
    return Letters(
        wanted=Selection(),
        groups=office.groups(),
        causes=causes,
        letters=letters,
        following=None,
        count=len(letters),
    )


class LettersPage(DeskPage):
    async def get(self) -> None:
        office, word = self.desk.office, self.asked("q")
        after, trail = self.asked("after"), self.get_query_arguments("trail")
        wanted = selection(self.asked("cause"), self.asked("entity"), self.asked("group"))
        seen = await self.ask(lambda: find_letters(office, word) if word else read_letters(office, wanted, after=after))
        self.show(
            "letters.html",
            seen=seen,
            word=word,
            group=next((group for group in seen.groups if group.id == wanted.group), None),
            entities=list(EntityKind),
            can_replay_all=narrows(wanted) and seen.count > 0,
            newer=self.page_at(seen.following, next_trail(trail, after)) if seen.following else None,
            older=self.page_at(*back) if (back := way_back(trail)) else None,
        )


class ReplayMany(DeskPage):
    """POST: the letters chosen (`letter`), or all of a filter (`all`)."""

    async def post(self) -> None:
        wanted = self._wanted()
        run = await self.ask(lambda: self.desk.office.replay(wanted, by=self.who))
        sentence = self.say("Replay started. Letters: %(count)d.", count=run.total)
        self.go_to(self.reverse_url("dead-letters-replays"), Notice(sentence=sentence))

    def _wanted(self) -> Selection:
        """Never the blank selection: that one means all letters. Errors: Refused."""
        if self.typed("all"):
            wanted = selection(self.typed("cause"), self.typed("entity"), self.typed("group"))
            if not narrows(wanted):
                raise Refused(409, NO_FILTER)
            return wanted
        return Selection(ids=chosen_letters(self))


class DiscardSelected(DeskPage):
    """POST: the letters chosen, with one reason for all."""

    async def post(self) -> None:
        ids, reason = chosen_letters(self), self.typed("reason")
        done, refused = await self.ask(lambda: discard_all(self.desk.office, ids, by=self.who, reason=reason))
        if not done:
            raise Refused(409, refused[0])
        sentence = self.say("Discarded: %(done)d. Not there any more: %(refused)d.", done=done, refused=len(refused))
        self.go_to(self.reverse_url("dead-letters"), Notice(sentence=sentence))


def discard_all(office: DeadLetterOffice, ids: tuple[str, ...], *, by: str, reason: str) -> tuple[int, list[str]]:
    """How many were discarded, and why the others were not."""
    refused = []
    for letter_id in ids:
        try:
            office.discard(letter_id, by=by, reason=reason)
        except NotPossible as refusal:
            refused.append(str(refusal))
    return len(ids) - len(refused), refused


def chosen_letters(page: DeskPage) -> tuple[str, ...]:
    """Errors: Refused where none is chosen."""
    ids = tuple(dict.fromkeys(page.get_body_arguments("letter")))
    if not ids:
        raise Refused(409, NONE_CHOSEN)
    return ids
