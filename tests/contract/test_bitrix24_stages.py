"""Why the portal does not set a stage: each reason is its own cause, for deals and for both kinds of invoices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync_worker.domain.identity import RecordRef
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.errors import RemoteRejected, RequiredFieldEmpty, StageUnknown
from tests.contract.portal_world import ONEC_ID, PortalWorld, portal_world

REQUIRED = {
    "required_at_stage": {"LOSE": ("COMPANY_ID",)},
    "required_from_stage": {"FINAL_INVOICE": ("COMMENTS",), "DT31_5:S": ("COMMENTS",)},
}


@pytest.fixture
def world():
    with portal_world(**REQUIRED) as world:
        world.know_users()
        yield world


@pytest.fixture
def make_world():
    """Worlds of portals with other habits, closed in the end."""
    worlds: list[Any] = []

    def make(**settings: Any) -> PortalWorld:
        worlds.append(portal_world(**settings))
        world: PortalWorld = worlds[-1].__enter__()
        world.know_users()
        return world

    yield make
    for one in worlds:
        one.__exit__(None, None, None)


class TestDeals:
    def test_field_that_is_required_from_a_stage_on_is_named(self, world):
        deal = world.deal()
        assert world.deals.move(deal, "EXECUTING") == "EXECUTING"
        for stage in ("FINAL_INVOICE", "WON"):
            with pytest.raises(RequiredFieldEmpty, match=f"Comments.*CRM_FIELD_ERROR_REQUIRED.*{stage}"):
                world.deals.move(deal, stage)
        assert world.deals.read(deal).stage == "EXECUTING"

    def test_filled_field_lets_it_move_on(self, world):
        deal = world.deal(COMMENTS="Срочно")
        assert world.deals.move(deal, "WON") == "WON"

    def test_who_gives_up_owes_other_fields(self, world):
        deal = world.deal()
        with pytest.raises(RequiredFieldEmpty, match="Company"):
            world.deals.move(deal, "LOSE")
        assert world.deals.move(deal, "APOLOGY") == "APOLOGY"

    def test_refusal_for_a_required_field_asks_nothing_more(self, world):
        deal = world.deal()
        with world.counted() as made, pytest.raises(RequiredFieldEmpty):
            world.deals.move(deal, "WON")
        assert made == ["batch"]

    @pytest.mark.parametrize("habit", ["refused", "ignored"])
    @pytest.mark.parametrize("stage", ["C1:EXECUTING", "NO_SUCH_STAGE"])
    def test_stage_of_another_pipeline(self, make_world, habit, stage):
        """The documentation does not say what the portal does with one; whatever it does, the cause is the same."""
        world = make_world(foreign_stage=habit)
        deal = world.deal()
        with (
            world.counted() as made,
            pytest.raises(StageUnknown, match=rf"no stage {stage} in DEAL_STAGE; .*EXECUTING"),
        ):
            world.deals.move(deal, stage)
        assert made == ["batch", "crm.status.list"]
        assert world.deals.read(deal).stage == "NEW"

    @pytest.mark.parametrize("habit", ["refused", "ignored"])
    def test_bare_stage_in_a_pipeline_with_a_prefix(self, make_world, habit):
        world = make_world(foreign_stage=habit)
        deal = world.deal(CATEGORY_ID=1)
        with pytest.raises(StageUnknown, match="no stage EXECUTING in DEAL_STAGE_1;"):
            world.deals.move(deal, "EXECUTING")
        assert world.deals.move(deal, "C1:EXECUTING") == "C1:EXECUTING"

    def test_move_to_where_it_stands_rings_for_nothing(self, world):
        deal = world.deal()
        fired = len(world.peer.fired())
        assert world.deals.move(deal, "NEW") == "NEW"
        assert len(world.peer.fired()) == fired

    def test_each_cause_is_an_operators_own(self):
        assert (RequiredFieldEmpty.cause, StageUnknown.cause) == ("required_field", "stage_unknown")


def card(world: PortalWorld, *, stage: str, comment: str | None = None) -> InvoiceCard:
    row = {"name": "Стол", "quantity": "2", "price": "600.25", "tax_rate": "20", "is_tax_included": True}
    fields = {
        "title": "Счёт № 12 от 21.11.2026",
        "opportunity": "1200.50",
        "currency": "RUB",
        "begin_on": "2026-11-21",
        "pay_before": "2026-12-01",
        "stage": stage,
        "comment": comment,
        "deal_id": None,
        "company_id": world.company().id,
        "contact_id": None,
        "rows": [row],
    }
    return InvoiceCard(xml_id=ONEC_ID, fields=fields)


def settle(cards: Any, wanted: InvoiceCard) -> RecordRef:
    ref: RecordRef = cards.create(wanted)
    cards.update(ref, cards.read(ref), wanted)
    return ref


class TestInvoices:
    KINDS = pytest.mark.parametrize(
        ("kind", "directory"), [("smart_invoices", "SMART_INVOICE_STAGE_5"), ("old_invoices", "INVOICE_STATUS")]
    )

    @KINDS
    def test_stage_that_the_portal_has_not(self, world, kind, directory):
        cards = getattr(world, kind)
        ref = settle(cards, card(world, stage="N"))
        with pytest.raises(StageUnknown, match=f"NONE in {directory};"):
            cards.update(ref, cards.read(ref), card(world, stage="NONE"))
        assert cards.read(ref).fields["stage"] == "N"

    @KINDS
    def test_stage_that_the_portal_has_not_when_it_is_made(self, world, kind, directory):
        with pytest.raises(StageUnknown, match=f"NONE in {directory};"):
            getattr(world, kind).create(card(world, stage="NONE"))

    def test_stage_that_is_ignored(self, make_world):
        world = make_world(foreign_stage="ignored")
        ref = settle(world.smart_invoices, card(world, stage="N"))
        with pytest.raises(StageUnknown, match="DT31_5:NONE"):
            world.smart_invoices.update(ref, world.smart_invoices.read(ref), card(world, stage="NONE"))

    def test_field_that_is_required_from_a_stage_on_is_named(self, world):
        cards = world.smart_invoices
        ref = settle(cards, card(world, stage="N"))
        with pytest.raises(RequiredFieldEmpty, match=r"Comments.*DT31_5:P"):
            cards.update(ref, cards.read(ref), card(world, stage="P"))
        assert cards.update(ref, cards.read(ref), card(world, stage="P", comment="оплачен"))
        assert cards.read(ref).fields["stage"] == "P"

    @pytest.mark.parametrize("write", ["create", "update"])
    def test_bad_value_of_another_field_is_no_matter_of_stages(self, world, write):
        cards, wanted = world.smart_invoices, card(world, stage="N")
        bad = InvoiceCard(xml_id=ONEC_ID, fields={**wanted.fields, "opportunity": "много", "stage": "S"})
        ref = settle(cards, wanted)
        call: Callable[[], Any] = (
            (lambda: cards.create(bad)) if write == "create" else (lambda: cards.update(ref, cards.read(ref), bad))
        )
        with pytest.raises(RemoteRejected) as raised:
            call()
        assert raised.value.topic == "CRM_FIELD_ERROR_VALUE_NOT_VALID Opportunity"
