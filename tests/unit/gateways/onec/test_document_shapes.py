"""Leads, orders, invoices and order statuses between the contract's JSON and entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref, onec_ref
from sync_worker.errors import BadEvent, RemoteRejected
from sync_worker.gateways.onec.schemas.deal import show_order
from sync_worker.gateways.onec.schemas.invoice import invoice_from_state, read_invoice
from sync_worker.gateways.onec.schemas.lead import show_lead
from sync_worker.gateways.onec.schemas.status import order_status_from_state
from sync_worker.gateways.onec.states import OnecStates

REF = "11111111-2222-3333-4444-555555555555"
ORDER_REF = "aaaaaaaa-2222-3333-4444-555555555555"
PARTY_REF = "bbbbbbbb-2222-3333-4444-555555555555"
INVOICE: dict[str, Any] = {
    "number": "ТД00-000012 ",
    "date": "2026-11-21",
    "pay_before": None,
    "amount": "1200.5",
    "currency": "RUB",
    "status": "issued",
    "paid_amount": "0.00",
    "order_ref": ORDER_REF,
    "order_external_id": "b24:deal:5",
    "counterparty_ref": PARTY_REF,
    "counterparty_external_id": "b24:company:7",
    "rows": [{"name": "Стол", "quantity": "2.000", "price": "600.25", "vat_rate": "20.0", "discount": "0"}],
    "comment": "",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """As the queue brings it."""

    data: dict[str, Any] | None
    sequence: int = 3
    version: str = "v3"
    external_id: str | None = None


def test_an_invoice_names_its_order_its_deal_and_its_counterparty() -> None:
    invoice = OnecStates().invoice(onec_ref(RecordType.INVOICE, REF), State(data=INVOICE))

    assert invoice.order == onec_ref(RecordType.ORDER, ORDER_REF)
    assert invoice.order_deal == bitrix24_ref(RecordType.DEAL, 5)
    assert invoice.counterparty == onec_ref(RecordType.COUNTERPARTY, PARTY_REF)
    assert invoice.counterparty_party == bitrix24_ref(RecordType.COMPANY, 7)
    assert (invoice.version, invoice.sequence, invoice.is_deleted) == ("v3", 3, False)


def test_an_invoices_decimals_have_one_spelling() -> None:
    fields = invoice_from_state(onec_ref(RecordType.INVOICE, REF), data=INVOICE, version="1", sequence=1).fields

    assert (fields["number"], fields["amount"], fields["paid_amount"]) == ("ТД00-000012", "1200.50", "0.00")
    assert fields["comment"] is None
    (row,) = fields["rows"]
    assert (row["quantity"], row["price"], row["discount"], row["amount"]) == ("2", "600.25", "0.00", "1200.50")
    assert (row["vat_rate"], row["vat_included"], row["sku"]) == ("20", True, None)


def test_an_invoice_record_marked_for_deletion_says_so() -> None:
    record = {**INVOICE, "ref": REF, "version": "1", "sequence": 1, "external_id": None, "deleted": True}

    assert read_invoice(record).is_deleted


def test_a_deleted_invoice_without_state_has_no_fields() -> None:
    invoice = OnecStates().invoice(onec_ref(RecordType.INVOICE, REF), State(data=None))

    assert invoice.is_deleted
    assert invoice.fields == {}


@pytest.mark.parametrize("name", ["number", "date", "amount", "currency", "status"])
def test_an_invoice_without_what_the_contract_promises_is_a_bad_event(name: str) -> None:
    with pytest.raises(BadEvent, match=name):
        OnecStates().invoice(onec_ref(RecordType.INVOICE, REF), State(data={**INVOICE, name: None}))


def test_a_state_of_another_shape_is_a_bad_event_and_no_crash() -> None:
    ref = onec_ref(RecordType.COUNTERPARTY, REF)

    with pytest.raises(BadEvent, match="shape"):
        OnecStates().counterparty(ref, State(data={"name": "Ромашка", "phones": ["+79161234567"]}))


@pytest.mark.parametrize(
    ("state", "status", "is_deleted"),
    [
        pytest.param({"status": "КОтгрузке", "order_number": "1"}, "КОтгрузке", False, id="order.status_changed"),
        pytest.param({"posted": True, "locked": False, "status": "Закрыт"}, "Закрыт", False, id="order.changed"),
        pytest.param({"posted": True, "locked": False, "status": None}, None, False, id="a base without statuses"),
        pytest.param(None, None, True, id="order.deleted"),
    ],
)
def test_an_orders_status_is_taken_from_every_event(
    state: dict[str, Any] | None, status: str | None, is_deleted: bool
) -> None:
    ref = onec_ref(RecordType.ORDER, ORDER_REF)

    read = order_status_from_state(ref, data=state, sequence=4, external_id="b24:deal:5")

    assert (read.status, read.is_deleted) == (status, is_deleted)
    assert (read.order, read.sequence, read.deal) == (ref, 4, bitrix24_ref(RecordType.DEAL, 5))


def test_the_reader_of_states_reads_an_orders_status() -> None:
    state = State(data={"status": "Закрыт"}, external_id="b24:deal:5")

    assert OnecStates().order_status(onec_ref(RecordType.ORDER, ORDER_REF), state).status == "Закрыт"


def test_a_lead_is_sent_in_the_contracts_words_only() -> None:
    fields = {"title": "Заявка", "emails": [], "amount": None, "comment": None, "inner": 1, "phones": None}

    assert show_lead(fields) == {"title": "Заявка", "emails": [], "amount": None, "comment": None}


def test_an_order_leaves_out_what_may_not_be_null() -> None:
    fields = {"counterparty_ref": PARTY_REF, "amount": None, "rows": [], "contact_ref": None, "title": "Сделка"}

    assert show_order(fields) == {
        "counterparty_ref": PARTY_REF,
        "rows": [],
        "contact_ref": None,
        "title": "Сделка",
    }


def test_an_order_without_a_counterparty_is_refused_before_sending() -> None:
    with pytest.raises(RemoteRejected) as caught:
        show_order({"title": "Сделка", "counterparty_ref": None})

    assert caught.value.field == "counterparty_ref"


def test_a_lead_without_a_title_is_refused_before_sending() -> None:
    with pytest.raises(RemoteRejected) as caught:
        show_lead({"title": ""})

    assert caught.value.field == "title"


@pytest.mark.parametrize("entity", list(EntityKind))
def test_every_entity_has_its_schema_file(entity: EntityKind) -> None:
    __import__(f"sync_worker.gateways.onec.schemas.{entity}")
