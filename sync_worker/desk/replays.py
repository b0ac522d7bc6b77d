"""Replays of many letters: how far they are, and the button that stops one."""

from __future__ import annotations

from sync_worker.desk.page import DeskPage, Notice

PAGE_REPLAYS = 50


class ReplaysPage(DeskPage):
    async def get(self) -> None:
        runs = await self.ask(lambda: self.desk.office.replays.page(limit=PAGE_REPLAYS))
        self.show("replays.html", runs=runs)


class CancelReplay(DeskPage):
    """POST: what waits for its turn is forgotten; what is under way comes to its end."""

    async def post(self, run_id: str) -> None:
        run = await self.ask(lambda: self.desk.office.cancel(run_id, by=self.who))
        sentence = self.say("Replay %(id)s is cancelled.", id=run.id)
        self.go_to(self.reverse_url("dead-letters-replays"), Notice(sentence=sentence))
