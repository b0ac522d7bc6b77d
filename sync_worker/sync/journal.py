"""Creates are written down before they are sent: the try after a crash or a lost answer knows of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordRef, System
from sync_worker.domain.intent import Intent
from sync_worker.errors import OutcomeUnknown, StoreUnavailable
from sync_worker.sync.ports import Clock, Intents

SETTLING = {System.BITRIX24: timedelta(seconds=3), System.ONEC: timedelta(0)}
"""How long a create may still arrive after it was sent or its answer was lost: the portal goes on with what it was
asked for when the caller has gone. In 1C a second create of one `external_id` is the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    intents: Intents
    clock: Clock

    @contextmanager
    def making(
        self,
        entity: EntityKind,
        source: RecordRef,
        *,
        sent: Mapping[str, Any] = MappingProxyType({}),
        known: RecordRef | None = None,
    ) -> Iterator[None]:
        """The block asks for a partner of `source`, made with the values `sent`; saving their link closes the entry.

        To be entered after a look for what an earlier try may have made. Nothing is written where the partner is
        `known`: it is only changed.

        Errors: OutcomeUnknown where that look may have come too early: look again; LeaseLost, StoreUnavailable.
        """
        if known is not None:
            yield
            return
        into = System.ONEC if source.system is System.BITRIX24 else System.BITRIX24
        intent = Intent(entity=entity, source=source, at=self.clock.now(), sent=sent)
        if not self.intents.open(intent, settled_before=intent.at - SETTLING[into]):
            raise OutcomeUnknown(f"an earlier try to make a partner of {source} in {into} may still arrive")
        try:
            yield
        except OutcomeUnknown:
            with suppress(StoreUnavailable):  # it stands there already, only with an earlier time
                self.intents.stamp(replace(intent, at=self.clock.now()))
            raise

    def sent(self, source: RecordRef) -> Mapping[str, Any]:
        """The values that an earlier try made its partner with, whose outcome nobody knew; nothing where none did."""
        intent = self.intents.get(source)
        return intent.sent if intent is not None else {}
