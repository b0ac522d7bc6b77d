"""SmartInvoices and OldInvoices keep the same promises, each against the sandbox's portal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.errors import AmbiguousMatch, LinkBroken, Misconfigured, RequiredFieldEmpty
from sync_worker.gateways.bitrix24.invoice import OldInvoices, SmartInvoices, invoice_gateway
from tests.contract.portal_world import ONEC_ID, OTHER_ONEC_ID, portal_world


def row(name: str = "Стол", **fields: Any) -> dict[str, Any]:
    base = {"name": name, "quantity": "2", "price": "600.25", "tax_rate": "20", "is_tax_included": True}
    return {**base, **fields}


def card(*, xml_id: str = ONEC_ID, **fields: Any) -> InvoiceCard:
    base = {
        "title": "Счёт № 12 от 21.11.2026",
        "opportunity": "1200.50",
        "currency": "RUB",
        "begin_on": "2026-11-21",
        "pay_before": "2026-12-01",
        "stage": "N",
        "comment": "первая\nвторая",
        "deal_id": None,
        "company_id": None,
        "contact_id": None,
        "rows": [row()],
    }
    return InvoiceCard(xml_id=xml_id, fields={**base, **fields})


@pytest.fixture
def world():
    with portal_world() as world:
        yield world


@pytest.fixture(params=["smart", "old"])
def cards(request, world):
    return world.smart_invoices if request.param == "smart" else world.old_invoices


@pytest.fixture
def base(world):
    """A card that both kinds can hold: of a company, on a deal."""
    return card(company_id=world.company().id, deal_id=world.deal().id)


def settle(cards, wanted: InvoiceCard):
    """Create and fill it, as the flow does."""
    ref = cards.create(wanted)
    cards.update(ref, cards.read(ref), wanted)
    return ref


def with_fields(wanted: InvoiceCard, **fields: Any) -> InvoiceCard:
    return replace(wanted, fields={**wanted.fields, **fields})


def test_settled_invoice_says_what_was_wanted(cards, base):
    assert cards.read(settle(cards, base)) == base


def test_invoice_of_a_contact(world, cards, base):
    wanted = with_fields(base, company_id=None, contact_id=world.contact().id)
    assert cards.read(settle(cards, wanted)).fields == wanted.fields


def test_found_by_the_1c_ref(cards, base):
    assert cards.find(ONEC_ID) is None
    ref = cards.create(base)
    cards.create(replace(base, xml_id=OTHER_ONEC_ID))
    assert cards.find(ONEC_ID) == ref


def test_two_with_one_1c_ref_are_a_persons_to_tell_apart(cards, base):
    refs = [cards.create(base), cards.create(base)]
    with pytest.raises(AmbiguousMatch) as raised:
        cards.find(ONEC_ID)
    assert raised.value.candidates == tuple(map(str, refs))


def test_nothing_is_written_where_nothing_differs(world, cards, base):
    ref = settle(cards, base)
    current = cards.read(ref)
    with world.counted() as made:
        assert cards.update(ref, current, base) is False
    assert made == []


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Счёт № 13 от 22.11.2026"},
        {"stage": "P"},
        {"comment": None},
        {"pay_before": "2027-01-31"},
        {"rows": [row("Стул", tax_rate="7"), row("Доставка", quantity="0.5", is_tax_included=False)]},
        {"stage": "S", "rows": [row(price="10.00")], "comment": "новый & 100%"},
    ],
    ids="+".join,
)
def test_changes_arrive_and_the_rest_stays(cards, base, changes):
    ref = settle(cards, base)
    wanted = with_fields(base, **changes)
    assert cards.update(ref, cards.read(ref), wanted) is True
    after = cards.read(ref)
    skipped = {"opportunity"} if isinstance(cards, OldInvoices) else set()  # there it is the sum of the rows
    assert {k: v for k, v in after.fields.items() if k not in skipped} == {
        k: v for k, v in wanted.fields.items() if k not in skipped
    }
    assert cards.update(ref, after, wanted) is False


def test_row_without_vat_comes_to_rest(world, cards, base):
    wanted = with_fields(base, rows=[row(tax_rate=None), row("Стул", tax_rate="0")])
    ref = settle(cards, wanted)
    current = cards.read(ref)
    with world.counted() as made:
        assert cards.update(ref, current, wanted) is False
    assert made == []


def test_more_rows_than_the_portal_lists_at_once_come_to_rest(cards, base):
    wanted = with_fields(base, rows=[row(f"Товар {index}", price="1.00") for index in range(100)])
    ref = settle(cards, wanted)
    current = cards.read(ref)
    assert current.fields["rows"] == wanted.fields["rows"]
    assert cards.update(ref, current, wanted) is False


def test_missing_invoice_is_none(cards):
    assert cards.read(bitrix24_ref(RecordType.INVOICE, 77)) is None


def test_update_of_an_invoice_that_was_deleted(world, cards, base):
    ref = settle(cards, base)
    current = cards.read(ref)
    world.peer.call("crm.item.delete", entityTypeId=31, id=ref.id) if isinstance(cards, SmartInvoices) else (
        world.peer.call("crm.invoice.delete", id=ref.id)
    )
    with pytest.raises(LinkBroken):
        cards.update(ref, current, with_fields(base, title="новый"))


class TestSmart:
    def test_amount_of_1c_counts_where_the_rows_come_to_another(self, world, base):
        wanted = with_fields(base, opportunity="1200.49")
        ref = settle(world.smart_invoices, wanted)
        assert world.smart_invoices.read(ref).fields["opportunity"] == "1200.49"

    def test_reading_is_one_request_and_so_is_changing(self, world, base):
        ref = settle(world.smart_invoices, base)
        with world.counted() as made:
            current = world.smart_invoices.read(ref)
            world.smart_invoices.update(ref, current, with_fields(base, stage="P", rows=[row("Стул")]))
        assert made == ["batch", "batch"]

    def test_types_that_are_switched_off_stop_the_queue(self, world, monkeypatch):
        """The portal says NOT_FOUND of the whole type; no invoice is gone for that."""
        monkeypatch.setattr("sync_worker.gateways.bitrix24.invoice.SMART_INVOICE_TYPE_ID", 177)
        with pytest.raises(Misconfigured, match="switch smart invoices on"):
            world.smart_invoices.read(bitrix24_ref(RecordType.INVOICE, 1))


class TestOld:
    @pytest.mark.parametrize(("owner", "person_type"), [("company_id", "2"), ("contact_id", "1")])
    def test_payer_is_the_portals_own_number(self, world, base, owner, person_type):
        party = world.company() if owner == "company_id" else world.contact()
        ref = world.old_invoices.create(with_fields(base, **{"company_id": None, owner: party.id}))
        invoice = world.peer.call("crm.invoice.get", id=ref.id)
        systems = world.peer.call("crm.paysystem.list", filter={"PERSON_TYPE_ID": person_type, "ACTIVE": "Y"})
        assert invoice["PERSON_TYPE_ID"] == person_type
        assert invoice["PAY_SYSTEM_ID"] == systems[0]["ID"]

    def test_vat_is_what_the_portal_counts(self, world, base):
        ref = settle(world.old_invoices, base)
        invoice = world.peer.call("crm.invoice.get", id=ref.id)
        assert (invoice["PRICE"], invoice["TAX_VALUE"]) == ("1200.50", "200.08")

    def test_invoice_without_rows_is_refused_by_the_portal(self, world, base):
        with pytest.raises(RequiredFieldEmpty, match="PRODUCT_ROWS"):
            world.old_invoices.create(with_fields(base, rows=[]))


@pytest.mark.parametrize(("is_smart", "gateway"), [(True, SmartInvoices), (False, OldInvoices)])
def test_settings_choose_the_kind(world, is_smart, gateway):
    made = invoice_gateway(client=world.client, directories=world.directories, is_smart=is_smart, category=0)
    assert isinstance(made, gateway)
