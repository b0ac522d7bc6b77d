"""Filing what waits for a person: the letter first, then the tombstone of a record that was deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sync_worker.contract import ChangeEvent, Misfit
from sync_worker.domain.identity import EntityKind, System
from sync_worker.domain.letter import DeadLetter, matter
from sync_worker.domain.link import Link
from sync_worker.errors import LinkBroken, MergedAway, SyncError
from sync_worker.sync.ports import Clock, DeadLetters, Links
from sync_worker.sync.replaying import doorbell


@dataclass(frozen=True, kw_only=True, slots=True)
class Filing:
    letters: DeadLetters
    links: Links
    clock: Clock
    code_version: str
    mask: Callable[[str], str]
    filed: Callable[[DeadLetter, Exception | None], None]

    def file(self, event: ChangeEvent, error: Exception) -> DeadLetter | None:
        """The letter as it is filed; None where a person has given up just that. Errors: StoreUnavailable."""
        letter = self._letter(event, error)
        if event.given_up == matter(letter):
            self._bury(error)
            return None
        letter = self.letters.add(letter)
        self._bury(error)
        self.filed(letter, error)
        return letter

    def keep(self, misfit: Misfit) -> DeadLetter:
        """An event that could not be read."""
        letter = self.letters.add(
            DeadLetter(
                id="",  # the store gives one
                entity=misfit.entity.value if misfit.entity else "unknown",
                record=None,
                partner=None,
                cause="bad_event",
                message=f"what came from {misfit.system} is no event that could be read",
                details={"errors": dict(misfit.errors), "raw": dict(misfit.raw)},
                event={},
                attempts=1,
                first_at=misfit.seen_at,
                last_at=misfit.seen_at,
                trace=misfit.trace,
                code_version=self.code_version,
                topic=f"from {misfit.system}",
            )
        )
        self.filed(letter, None)
        return letter

    def words(self, error: Exception) -> str:
        return self.mask(str(error) if isinstance(error, SyncError) else f"{type(error).__name__}: {error}")

    def _letter(self, event: ChangeEvent, error: Exception) -> DeadLetter:
        known = error if isinstance(error, SyncError) else None
        if known is not None and known.about not in (None, event.record) and event.entity is EntityKind.CONTACT:
            event = doorbell(event, known.about)  # a card was merged into another, or a decision was about another
        link = self.links.find(event.record)
        now = self.clock.now()
        return DeadLetter(
            id=event.letter or "",  # the store gives one
            entity=event.entity.value,
            record=event.record,
            partner=link.other(event.record) if link else None,
            cause=cause_of(error),
            message=self.words(error),
            details=known.details() if known else {},
            event=replace(event, letter=None, given_up=None).dump(),
            attempts=event.attempts + 1,
            first_at=now,
            last_at=now,
            trace=event.trace,
            code_version=self.code_version,
            topic=self.mask(known.topic) if known else type(error).__name__,
            words=known.words if known else (),
            holds_back=known.holds_back if known else True,
        )

    def _bury(self, error: Exception) -> None:
        """A deleted record leaves a tombstone, once somebody will see it."""
        if not isinstance(error, (LinkBroken, MergedAway)) or error.gone is None:
            return
        link = self.links.find(error.gone) or self._named_link(error)
        if link is not None and link.deleted_in is None:
            self.links.save(link.bury(error.gone.system))

    def _named_link(self, error: LinkBroken | MergedAway) -> Link | None:
        """The link that was written in the record that is left, where we never knew of it."""
        left = error.left if isinstance(error, LinkBroken) else None
        if error.gone is None or left is None or self.links.find(left) is not None:
            return None
        is_left = left.system is System.BITRIX24
        return Link(bitrix24=left if is_left else error.gone, onec=error.gone if is_left else left)


def cause_of(error: Exception) -> str:
    return error.cause if isinstance(error, SyncError) else "internal_error"
