"""One letter: what happened, what can be decided, and the three forms that decide it."""

from __future__ import annotations

from sync_worker.desk import typed
from sync_worker.desk.page import DeskPage, Notice, Refused
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.rules import Owner
from sync_worker.sync.office import DeadLetterOffice, options, owner_rules

GONE = "There is no such letter; it may have been settled meanwhile."


class LetterPage(DeskPage):
    async def get(self, letter_id: str) -> None:
        letter = await self.ask(lambda: self.desk.office.letters.get(letter_id))
        if letter is None:
            raise Refused(404, GONE)
        self.show(
            "letter.html",
            letter=letter,
            offered=options(letter),
            named=typed,
            rule=lambda field, side: owner_rules({field: Owner(side)}),
        )


class ResolveOne(DeskPage):
    """POST: what was decided; the letter goes round with it."""

    async def post(self, letter_id: str) -> None:
        letter, rules = await self.ask(lambda: self._resolve(self.desk.office, letter_id))
        sentence = self.say("Decided. The record goes round with it now; when both sides agree, the letter is gone.")
        self.go_to(self.reverse_url("dead-letter", letter.id), Notice(sentence=sentence, rule=rules))

    def _resolve(self, office: DeadLetterOffice, letter_id: str) -> tuple[DeadLetter, str]:
        letter = office.get(letter_id)
        typed.refuse_changed(letter, self.typed("seen"))
        decision = typed.read_decision(letter, self.typed)
        return office.resolve(letter_id, decision, by=self.who), typed.read_rules(letter, self.typed)


class ReplayOne(DeskPage):
    """POST: the letter's event goes round again."""

    async def post(self, letter_id: str) -> None:
        await self.ask(lambda: self.desk.office.replay_one(letter_id, by=self.who))
        sentence = self.say("Sent round again. The letter goes when its event has an outcome.")
        self.go_to(self.reverse_url("dead-letter", letter_id), Notice(sentence=sentence))


class DiscardOne(DeskPage):
    """POST: the letter's event is given up, for a reason."""

    async def post(self, letter_id: str) -> None:
        reason = self.typed("reason")
        await self.ask(lambda: self.desk.office.discard(letter_id, by=self.who, reason=reason))
        self.go_to(self.reverse_url("dead-letters"), Notice(sentence=self.say("Discarded: %(id)s.", id=letter_id)))
