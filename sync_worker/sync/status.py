"""Order status in 1C -> the stage of that deal's own pipeline, read back after the write."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, System
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import PipelineRules, Rules
from sync_worker.entities.deal import Deal
from sync_worker.entities.status import OrderStatus, target_stage
from sync_worker.errors import DealClosed, LinkBroken, StageRefused, StatusUnmapped
from sync_worker.sync.one_way import alive, gone_in_onec
from sync_worker.sync.ports import Deals, Links, Locks, Memories, OnecStates

ENTITY = EntityKind.STATUS


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusFlow:
    deals: Deals
    states: OnecStates
    links: Links
    memories: Memories
    locks: Locks
    rules: Rules

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent, decision: Decision = NOTHING_DECIDED) -> Outcome:
        if event.record.system is not System.ONEC or event.onec is None:
            return Outcome.SKIPPED
        if event.change is Change.DELETED:
            return self._gone_in_onec(event.record, event.onec.sequence)
        status = self.states.order_status(event.record, event.onec)
        if status.status is None:
            return Outcome.UNCHANGED
        deal_ref = self._deal_ref(status)
        if deal_ref is None:
            return Outcome.SKIPPED  # an order that no deal made
        with self.locks.hold(str(deal_ref)):
            if self.memories.get(ENTITY, status.order).sequence >= status.sequence:
                return Outcome.STALE
            alive(self.links.find(status.order), System.ONEC, self.links)
            outcome = self._move(deal_ref, status.status, may_reopen=decision.reopen)
            self.memories.save(ENTITY, status.order, Memory(sequence=status.sequence))
            return outcome

    def _gone_in_onec(self, ref: RecordRef, sequence: int) -> Outcome:
        return gone_in_onec(ref, sequence, ENTITY, ref, links=self.links, memories=self.memories)

    def _deal_ref(self, status: OrderStatus) -> RecordRef | None:
        link = self.links.find(status.order)
        if link is not None:
            return None if link.deleted_in is System.BITRIX24 else link.bitrix24
        if status.deal is not None:  # 1C knew of it before our own link was saved
            self.links.save(Link(bitrix24=status.deal, onec=status.order))
        return status.deal

    def _move(self, ref: RecordRef, status: str, *, may_reopen: bool) -> Outcome:
        deal = self.deals.read(ref)
        if deal is None:
            raise LinkBroken(f"{ref} is gone, so the status {status} cannot be shown", gone=ref)
        pipeline = self.rules.pipelines.get(deal.category)
        if pipeline is None:
            return Outcome.SKIPPED
        if status in pipeline.ignore_statuses:
            return Outcome.UNCHANGED
        stage = wanted_stage(deal, pipeline, status, may_reopen=may_reopen or pipeline.reopen_closed)
        if stage is None:
            return Outcome.UNCHANGED
        after = self.deals.move(ref, stage)
        if after != stage:
            raise StageRefused(f"{ref} stayed at stage {after} instead of {stage}")
        return Outcome.UPDATED


def wanted_stage(deal: Deal, pipeline: PipelineRules, status: str, *, may_reopen: bool) -> str | None:
    """The stage to move to; None where the deal stands there already.

    Errors: StatusUnmapped, DealClosed.
    """
    stage = target_stage(status, pipeline)
    if stage is None:
        text = f"1C status {status} has no stage in pipeline {pipeline.category} of sync.toml"
        raise StatusUnmapped(text, status=f"{status} in pipeline {pipeline.category}")
    if deal.stage == stage:
        return None
    if deal.is_closed and not may_reopen:
        raise DealClosed(f"{deal.ref} is closed at {deal.stage}; 1C status {status} would move it to {stage}")
    return stage
