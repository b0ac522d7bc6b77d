"""The gateway against the sandbox base, over real HTTP: the ports' promises, and what a rough network does to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.faults import FaultPlan
from sandbox.onec import Base, BaseSettings
from sync_worker.domain.identity import EntityKind, Lane, RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys
from sync_worker.errors import (
    AmbiguousMatch,
    LinkBroken,
    Misconfigured,
    OrderLocked,
    OutcomeUnknown,
    RemoteRejected,
    RemoteUnavailable,
    VersionMoved,
)
from sync_worker.gateways.onec.about import OnecCapabilities, OnecExaminer
from sync_worker.gateways.onec.client import OnecClient, Timeouts
from sync_worker.gateways.onec.contact import OnecCounterparties
from sync_worker.gateways.onec.documents import OnecInvoicesReader, OnecOrdersAndLeads
from sync_worker.gateways.onec.states import OnecStates

INN, KPP, OTHER_KPP = "7707083893", "773601001", "780101001"
UNKNOWN = onec_ref(RecordType.COUNTERPARTY, "00000000-0000-4000-8000-000000000000")
ADDRESS = {"kind": "legal", "postal_code": "101000", "city": "Москва", "street": "Мясницкая, 1"}


class MovableClock:
    """Real time, and as much as a test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class HeldSlot:
    """Of the only process there is."""

    token = "live:one"

    def lengthen(self, seconds: float) -> None: ...


class Slots:
    """As many at once as there are licences."""

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)

    @contextmanager
    def hold(self, max_wait_seconds: float, lane: Lane) -> Iterator[HeldSlot]:
        assert self._free.acquire(timeout=max_wait_seconds)
        try:
            yield HeldSlot()
        finally:
            self._free.release()


@dataclass(frozen=True, kw_only=True, slots=True)
class Onec:
    """A served base, and the gateway to it."""

    base: Base
    url: str
    client: OnecClient
    clock: MovableClock

    @property
    def parties(self) -> OnecCounterparties:
        return OnecCounterparties(client=self.client)

    @property
    def documents(self) -> OnecOrdersAndLeads:
        return OnecOrdersAndLeads(client=self.client)

    @property
    def calls(self) -> int:
        return self.base.journal.counters["requests"]

    def state(self, type: str) -> list[dict[str, Any]]:
        return self.base.show_state()[type]

    def break_with(self, spec: str) -> None:
        self.base.faults.replace(spec)


@contextmanager
def running(*, url: str | None = None, password: str = "sandbox-password", **settings: Any) -> Iterator[Onec]:
    base = Base(BaseSettings(**settings), faults=FaultPlan())
    clock = MovableClock()
    with base.serve() as served:
        client = OnecClient(
            url=f"{served.url}/base" if url is None else f"{served.url}{url}",
            user="Обмен",
            password=password,
            slots=Slots(base.settings.max_sessions),
            clock=clock,
            timeouts=Timeouts(connect_seconds=5, read_seconds=20, slot_seconds=20),
        )
        yield Onec(base=base, url=served.url, client=client, clock=clock)
        client.close()


@pytest.fixture
def onec() -> Iterator[Onec]:
    with running() as running_onec:
        yield running_onec


def company(number: int = 7, **fields: Any) -> CounterpartyRecord:
    """A Bitrix24 company as its gateway reads it."""
    return CounterpartyRecord(
        ref=bitrix24_ref(RecordType.COMPANY, number),
        kind=Kind.COMPANY,
        fields={
            "name": "ООО Ромашка",
            "full_name": None,
            "inn": None,
            "kpp": None,
            "ogrn": None,
            "emails": ["office@example.com"],
            "phones": ["+74951234567;ext=12", "+79161234567"],
            "addresses": [ADDRESS],
            "responsible": "manager@example.com",
            "comment": "первая\nвторая",
            **fields,
        },
        value_kinds={"office@example.com": "work", "+74951234567;ext=12": "work", "+79161234567": "mobile"},
        responsible_name="Иван Петров",
    )


def order_fields(party: RecordRef, **fields: Any) -> dict[str, Any]:
    row = {"name": "Стол", "quantity": "2", "price": "600.25", "discount": "0.00", "amount": "1200.50"}
    return {
        "title": "Сделка 5",
        "counterparty_ref": party.id,
        "contact_ref": None,
        "amount": "1200.50",
        "currency": "RUB",
        "rows": [{**row, "vat_rate": "20", "vat_included": True, "unit": "796"}],
        "responsible": {"email": "manager@example.com", "name": "Иван Петров"},
        "comment": None,
        "url": "https://portal.example.com/crm/deal/details/5/",
        **fields,
    }


# --- counterparties --------------------------------------------------------------------------------------------------


def test_a_new_counterparty_is_returned_as_it_then_is_by_one_call(onec: Onec) -> None:
    created = onec.parties.create(company(inn=INN, kpp=KPP))

    assert onec.calls == 1
    assert created == onec.parties.read(created.ref)
    assert created.fields == company(inn=INN, kpp=KPP).fields
    assert (created.kind, created.other_ref) == (Kind.COMPANY, "b24:company:7")
    assert created.sequence > 0


def test_a_person_is_created_as_one(onec: Onec) -> None:
    contact = replace(company(), ref=bitrix24_ref(RecordType.CONTACT, 42), kind=Kind.PERSON)

    created = onec.parties.create(contact)

    assert created.kind is Kind.PERSON
    assert onec.state("counterparties")[0]["kind"] == "person"


def test_a_create_that_is_repeated_after_a_lost_answer_makes_no_second_one(onec: Onec) -> None:
    onec.break_with("reset_after:/counterparties=1x1")
    with pytest.raises(OutcomeUnknown):
        onec.parties.create(company(inn=INN))

    found = onec.parties.find(MatchKeys(inn=INN), linked_to=company().ref)
    again = onec.parties.create(company(inn=INN, name="ООО Ромашка и Ко"))

    assert [record.ref for record in found] == [again.ref]
    assert len(onec.state("counterparties")) == 1
    assert again == onec.parties.read(again.ref)
    assert again.fields["name"] == "ООО Ромашка и Ко"


def test_a_create_that_1c_sees_as_a_duplicate_names_the_candidates(onec: Onec) -> None:
    first = onec.parties.create(company(1, inn=INN, kpp=KPP))

    with pytest.raises(AmbiguousMatch) as caught:
        onec.parties.create(company(2, inn=INN, kpp=KPP))

    assert caught.value.candidates == (str(first.ref),)


def test_a_person_may_decide_that_both_are_right(onec: Onec) -> None:
    first = onec.parties.create(company(1, inn=INN, kpp=KPP))

    second = onec.parties.create(company(2, inn=INN, kpp=KPP), not_duplicate_of=[first.ref.id])

    assert second.ref != first.ref
    assert [(one["inn"], one["kpp"]) for one in onec.state("counterparties")] == [(INN, KPP)] * 2
    assert {one["external_id"] for one in onec.state("counterparties")} == {"b24:company:1", "b24:company:2"}


def test_a_decision_about_one_candidate_does_not_hold_for_the_next(onec: Onec) -> None:
    first = onec.parties.create(company(1, inn=INN, kpp=KPP))
    second = onec.parties.create(company(2, inn=INN, kpp=KPP), not_duplicate_of=[first.ref.id])

    with pytest.raises(AmbiguousMatch) as caught:
        onec.parties.create(company(3, inn=INN, kpp=KPP), not_duplicate_of=[first.ref.id])

    assert set(caught.value.candidates) == {str(first.ref), str(second.ref)}


def test_what_1c_refuses_names_the_field(onec: Onec) -> None:
    with pytest.raises(RemoteRejected) as caught:
        onec.parties.create(company(emails=["a..b@example.com"]))

    assert caught.value.code == "validation"
    assert (caught.value.field or "").startswith("emails")
    assert "example.com" not in str(caught.value)


def test_a_linked_counterparty_is_found_by_its_link_though_it_be_deleted(onec: Onec) -> None:
    created = onec.parties.create(company(inn=INN))
    onec.base.bookkeeper.mark("counterparties", created.ref.id, deleted=True)

    found = onec.parties.find(MatchKeys(inn=INN), linked_to=company().ref)

    assert [(record.ref, record.is_deleted) for record in found] == [(created.ref, True)]


def test_all_branches_are_found_by_their_inn(onec: Onec) -> None:
    head = onec.parties.create(company(1, inn=INN, kpp=KPP))
    branch = onec.parties.create(company(2, inn=INN, kpp=OTHER_KPP))
    onec.parties.create(company(3))

    found = onec.parties.find(MatchKeys(inn=INN, kpp=KPP), linked_to=company(9).ref)

    assert {record.ref for record in found} == {head.ref, branch.ref}


def test_people_are_found_by_any_of_their_addresses_and_each_once(onec: Onec) -> None:
    first = onec.parties.create(company(1, emails=["a@example.com", "b@example.com"]))
    second = onec.parties.create(company(2, emails=["c@example.com"]))
    keys = MatchKeys(emails=("a@example.com", "b@example.com", "c@example.com", "иван@example.com"))

    found = onec.parties.find(keys, linked_to=company(9).ref)

    assert [record.ref for record in found] == [first.ref, second.ref]


@pytest.mark.parametrize("inn", ["7707083894", "0000000000", "500100732258"])
def test_by_a_mistyped_inn_who_has_the_same_one_is_found(onec: Onec, inn: str) -> None:
    same = onec.parties.create(company(1, inn=inn))
    onec.parties.create(company(2, inn=INN))

    found = onec.parties.find(MatchKeys(inn=inn), linked_to=company(9).ref)

    assert [record.ref for record in found] == [same.ref]


@pytest.mark.parametrize("inn", ["770708389", "77070838930", "НЕТ", "7707-83893", "77&inn=7707083893"])
def test_by_what_1c_takes_for_no_inn_nobody_is_found_and_nothing_is_refused(onec: Onec, inn: str) -> None:
    onec.parties.create(company(1, inn=INN))

    assert onec.parties.find(MatchKeys(inn=inn), linked_to=company(9).ref) == []


def test_who_is_linked_is_found_whatever_stands_for_the_inn(onec: Onec) -> None:
    linked = onec.parties.create(company(1))

    found = onec.parties.find(MatchKeys(inn="НЕТ"), linked_to=company(1).ref)

    assert [record.ref for record in found] == [linked.ref]


def test_nothing_is_sought_without_a_key(onec: Onec) -> None:
    onec.parties.create(company(1))

    assert onec.parties.find(MatchKeys(), linked_to=company(9).ref) == []


def test_a_deleted_counterparty_is_read_and_says_so(onec: Onec) -> None:
    created = onec.parties.create(company())
    onec.base.bookkeeper.mark("counterparties", created.ref.id, deleted=True)

    read = onec.parties.read(created.ref)

    assert read is not None
    assert read.is_deleted


def test_an_unknown_counterparty_is_none(onec: Onec) -> None:
    assert onec.parties.read(UNKNOWN) is None


def test_an_id_that_a_person_typed_is_none_without_a_call(onec: Onec) -> None:
    assert onec.parties.read(onec_ref(RecordType.COUNTERPARTY, "see the paper file")) is None
    assert onec.calls == 0


def test_an_update_writes_the_changes_and_returns_the_record_as_it_then_is(onec: Onec) -> None:
    created = onec.parties.create(company())
    changes = {"phones": ["+78005553535"], "inn": INN, "comment": None, "kind": "sole_trader"}

    updated = onec.parties.update(created, changes, source=company())

    assert onec.calls == 2
    assert updated == replace(onec.parties.read(updated.ref) or created, value_kinds=updated.value_kinds)
    assert updated.fields == {**created.fields, "phones": ["+78005553535"], "inn": INN, "comment": None}
    assert updated.kind is Kind.SOLE_TRADER
    assert updated.sequence > created.sequence


def test_an_update_without_changes_is_no_call(onec: Onec) -> None:
    created = onec.parties.create(company())

    assert onec.parties.update(created, {}, source=company()) == created
    assert onec.calls == 1


def test_an_update_links_what_was_not_linked(onec: Onec) -> None:
    stored = onec.base.bookkeeper.add_counterparty({"name": "ООО Ромашка", "inn": INN})
    found = onec.parties.read(onec_ref(RecordType.COUNTERPARTY, stored.ref))
    assert found is not None

    linked = onec.parties.update(found, {}, source=company())

    assert linked.other_ref == "b24:company:7"
    assert onec.parties.read(found.ref) == linked


def test_an_update_of_what_moved_meanwhile_is_refused(onec: Onec) -> None:
    created = onec.parties.create(company())
    onec.base.bookkeeper.edit_counterparty(created.ref.id, {"comment": "по телефону"})

    with pytest.raises(VersionMoved):
        onec.parties.update(created, {"name": "ООО Лютик"}, source=company())


def test_an_update_of_what_is_marked_for_deletion_breaks_the_link(onec: Onec) -> None:
    created = onec.parties.create(company())
    onec.base.bookkeeper.mark("counterparties", created.ref.id, deleted=True)

    with pytest.raises(LinkBroken):
        onec.parties.update(created, {"name": "ООО Лютик"}, source=company())


def test_an_update_of_what_the_base_has_not_breaks_the_link(onec: Onec) -> None:
    gone = replace(company(), ref=UNKNOWN)

    with pytest.raises(LinkBroken):
        onec.parties.update(gone, {"name": "ООО Лютик"}, source=company())


def test_a_link_that_is_taken_is_for_a_person_to_move(onec: Onec) -> None:
    created = onec.parties.create(company(1))

    with pytest.raises(AmbiguousMatch) as caught:
        onec.parties.update(created, {}, source=company(2))
    moved = onec.parties.update(created, {}, source=company(2), relink=True)

    assert caught.value.candidates == (str(created.ref),)
    assert moved.other_ref == "b24:company:2"


def test_a_link_that_moves_leaves_who_had_it_unlinked(onec: Onec) -> None:
    loser = onec.parties.create(company(1))
    winner = onec.parties.create(company(2))

    moved = onec.parties.update(winner, {"comment": "тот же"}, source=company(1), relink=True)

    assert (moved.other_ref, moved.fields["comment"]) == ("b24:company:1", "тот же")
    left = onec.parties.read(loser.ref)
    assert left is not None
    assert (left.other_ref, left.is_deleted) == (None, False)
    assert left.version != loser.version  # a write of its own, so that its older view cannot be written with
    assert [one.ref for one in onec.parties.find(MatchKeys(), linked_to=company(1).ref)] == [winner.ref]
    assert onec.parties.find(MatchKeys(), linked_to=company(2).ref) == []


def test_a_link_that_moves_is_refused_without_a_decision_and_names_both(onec: Onec) -> None:
    loser = onec.parties.create(company(1))
    winner = onec.parties.create(company(2))

    with pytest.raises(AmbiguousMatch) as caught:
        onec.parties.update(winner, {}, source=company(1))

    assert set(caught.value.candidates) == {str(loser.ref), str(winner.ref)}


def test_an_event_says_the_same_as_a_reading(onec: Onec) -> None:
    created = onec.parties.create(company())
    onec.base.bookkeeper.edit_counterparty(created.ref.id, {"inn": INN, "legal_address": "г. Тверь, ул. Новая, 1"})
    (event,) = onec.client.get("/changes")["events"]

    told = OnecStates().counterparty(created.ref, EventState.of(event))

    assert told == onec.parties.read(created.ref)
    assert told.fields["addresses"] == [{"kind": "legal", "street": "г. Тверь, ул. Новая, 1"}]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventState:
    """As the queue brings it."""

    data: dict[str, Any] | None
    sequence: int
    version: str
    external_id: str | None

    @classmethod
    def of(cls, event: dict[str, Any]) -> EventState:
        return cls(
            data=event.get("data"),
            sequence=event["sequence"],
            version=event["version"],
            external_id=event["external_id"],
        )


# --- documents -------------------------------------------------------------------------------------------------------


def test_an_order_is_created_once_and_has_a_number(onec: Onec) -> None:
    party = onec.parties.create(company()).ref

    first = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    second = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=first.ref)

    assert (first.created, second.created) == (True, False)
    assert first.number
    assert (second.ref, second.version, second.sequence) == (first.ref, first.version, first.sequence)
    (order,) = onec.state("orders")
    assert (order["amount"], order["external_id"], order["counterparty_ref"]) == ("1200.50", "b24:deal:5", party.id)


def order_row(quantity: str, price: str, amount: str, *, discount: str = "0.00", **vat: Any) -> dict[str, Any]:
    row = {"name": "Стол", "quantity": quantity, "price": price, "discount": discount, "amount": amount}
    return {**row, "vat_rate": None, "vat_included": True, "unit": "796", **vat}


VAT_ON_TOP = {"vat_rate": "20", "vat_included": False}
TOTALS = {
    "as sent": ("1200.50", [order_row("2", "600.25", "1200.50")], "1200.50"),
    "amount typed by hand": ("1000.00", [order_row("2", "600.25", "1200.50")], "1200.50"),
    "without rows": ("999.99", [], "999.99"),
    "discount": ("900.00", [order_row("2", "500.00", "900.00", discount="100.00")], "900.00"),
    "amount of a row overrules its price": ("333.32", [order_row("3", "111.11", "333.32")], "333.32"),
    "vat within": ("120.00", [order_row("1", "120.00", "120.00", vat_rate="20")], "120.00"),
    "vat on top": ("120.00", [order_row("1", "100.00", "100.00", **VAT_ON_TOP)], "120.00"),
    "vat on top of a discount": (
        "100.00",
        [order_row("3", "33.34", "90.02", discount="10.00", **VAT_ON_TOP)],
        "108.02",
    ),
    "vat on top is rounded row by row": ("0.10", [order_row("1", "0.02", "0.02", **VAT_ON_TOP)] * 4, "0.08"),
}


@pytest.mark.parametrize(("amount", "rows", "total"), TOTALS.values(), ids=TOTALS.keys())
def test_an_orders_total_is_what_1c_makes_of_its_rows(
    onec: Onec, amount: str, rows: list[dict[str, Any]], total: str
) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party, amount=amount, rows=rows), known=None)

    assert onec.documents.order_total(order.ref) == Decimal(total)


def test_an_orders_total_is_of_this_order_and_follows_its_rows(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    onec.documents.upsert_order("b24:deal:6", order_fields(party, amount="1.00", rows=[]), known=None)
    rows = [order_row("1", "10.00", "10.00"), order_row("1", "5.50", "5.50")]
    onec.documents.upsert_order("b24:deal:5", order_fields(party, rows=rows), known=order.ref)
    before = onec.calls

    assert onec.documents.order_total(order.ref) == Decimal("15.50")
    assert onec.calls == before + 1


def test_an_order_that_is_not_there_has_no_total(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    onec.base.bookkeeper.mark("orders", order.ref.id, deleted=True)

    assert onec.documents.order_total(order.ref) is None
    assert onec.documents.order_total(replace(UNKNOWN, type=RecordType.ORDER)) is None
    assert onec.documents.order_total(onec_ref(RecordType.ORDER, "УТ-000001")) is None


def test_a_locked_order_is_not_changed(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    onec.base.bookkeeper.edit_order(order.ref.id, {"locked": "true"})

    with pytest.raises(OrderLocked) as caught:
        onec.documents.upsert_order("b24:deal:5", order_fields(party, title="Другое"), known=order.ref)

    assert caught.value.code == "locked"


def test_an_order_marked_for_deletion_breaks_the_link(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    onec.base.bookkeeper.mark("orders", order.ref.id, deleted=True)

    with pytest.raises(LinkBroken):
        onec.documents.upsert_order("b24:deal:5", order_fields(party, title="Другое"), known=order.ref)


def test_an_order_of_another_deal_is_for_a_person(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)

    with pytest.raises(AmbiguousMatch) as caught:
        onec.documents.upsert_order("b24:deal:6", order_fields(party), known=order.ref)

    assert caught.value.candidates == (str(order.ref),)


def test_an_order_of_an_unknown_counterparty_is_rejected(onec: Onec) -> None:
    with pytest.raises(RemoteRejected) as caught:
        onec.documents.upsert_order("b24:deal:5", order_fields(UNKNOWN), known=None)

    assert (caught.value.code, caught.value.field) == ("validation", "counterparty_ref")


def test_an_order_whose_answer_was_lost_is_made_once(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    onec.break_with("reset_after:/orders=1x1")
    with pytest.raises(OutcomeUnknown):
        onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)

    again = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)

    assert not again.created
    assert len(onec.state("orders")) == 1


def test_a_lead_is_created_with_everything_it_carries(onec: Onec) -> None:
    fields = {
        "title": "Заявка с сайта",
        "counterparty_ref": None,
        "contact_name": "Петров Иван",
        "emails": [{"value": "ivan@example.com", "kind": "work"}],
        "phones": [{"value": "+79161234567", "kind": "mobile"}],
        "source": "WEB",
        "amount": "1200.50",
        "currency": "RUB",
        "responsible": None,
        "comment": "срочно",
        "url": "https://portal.example.com/crm/lead/details/3/",
    }

    done = onec.documents.upsert_lead("b24:lead:3", fields, known=None)

    assert done.created
    assert done.ref.type is RecordType.LEAD
    (lead,) = onec.state("leads")
    assert {name: lead[name] for name in fields} == fields


def test_an_invoice_is_read_with_its_order_and_rows_though_it_be_deleted(onec: Onec) -> None:
    party = onec.parties.create(company()).ref
    order = onec.documents.upsert_order("b24:deal:5", order_fields(party), known=None)
    stored = onec.base.bookkeeper.add_invoice({"order_ref": order.ref.id})
    onec.base.bookkeeper.mark("invoices", stored.ref, deleted=True)

    invoice = OnecInvoicesReader(client=onec.client).read(onec_ref(RecordType.INVOICE, stored.ref))

    assert invoice is not None
    assert invoice.is_deleted
    assert (invoice.order, invoice.counterparty) == (order.ref, party)
    assert (invoice.order_deal, invoice.counterparty_party) == (bitrix24_ref(RecordType.DEAL, 5), company().ref)
    assert (invoice.fields["amount"], invoice.fields["status"]) == ("1200.50", "issued")
    assert [row["amount"] for row in invoice.fields["rows"]] == ["1200.50"]


def test_an_unknown_invoice_is_none(onec: Onec) -> None:
    assert OnecInvoicesReader(client=onec.client).read(replace(UNKNOWN, type=RecordType.INVOICE)) is None


# --- a rough network, and a base with moods --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["http500", "http502", "http503", "html", "reset_before", "reset_after", "maintenance"]
)
def test_a_read_under_any_fault_may_be_repeated(onec: Onec, fault: str) -> None:
    onec.break_with(f"{fault}:/counterparties=1x1")

    with pytest.raises(RemoteUnavailable):
        onec.parties.read(UNKNOWN)

    assert onec.parties.read(UNKNOWN) is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("http500", OutcomeUnknown),
        ("http502", OutcomeUnknown),
        ("html", OutcomeUnknown),
        ("reset_before", OutcomeUnknown),
        ("reset_after", OutcomeUnknown),
        ("http503", RemoteUnavailable),
        ("maintenance", RemoteUnavailable),
    ],
)
def test_a_write_under_any_fault_makes_one_object_when_repeated(onec: Onec, fault: str, kind: type[Exception]) -> None:
    onec.break_with(f"{fault}:/counterparties=1x1")

    with pytest.raises(kind):
        onec.parties.create(company())
    onec.parties.create(company())

    assert len(onec.state("counterparties")) == 1


def test_a_base_that_says_nothing_is_given_up(onec: Onec) -> None:
    impatient = OnecClient(
        url=f"{onec.url}/base",
        user="Обмен",
        password="sandbox-password",
        slots=Slots(1),
        clock=onec.clock,
        timeouts=Timeouts(read_seconds=0.1),
    )
    onec.break_with("hang:/counterparties=1x1@1")

    with pytest.raises(OutcomeUnknown):
        OnecCounterparties(client=impatient).create(company())
    impatient.close()


def test_a_base_that_is_not_there_was_sent_nothing() -> None:
    with running() as gone:
        pass

    with pytest.raises(RemoteUnavailable, match="connect"):
        gone.parties.create(company())


def test_a_wrong_password_stops_the_work() -> None:
    with running(password="wrong") as onec, pytest.raises(Misconfigured, match="ONEC_PASSWORD"):
        onec.parties.read(UNKNOWN)


def test_a_service_that_is_not_published_stops_the_work() -> None:
    with running(url="/elsewhere") as onec, pytest.raises(Misconfigured, match="publishExtensionsByDefault"):
        onec.parties.read(UNKNOWN)


def test_a_resource_that_the_base_does_not_offer_is_named() -> None:
    with running(capabilities=("counterparties",)) as onec, pytest.raises(Misconfigured, match="/invoices"):
        OnecInvoicesReader(client=onec.client).read(replace(UNKNOWN, type=RecordType.INVOICE))


def test_answers_may_begin_with_a_byte_order_mark() -> None:
    with running(bom=True) as onec:
        assert onec.parties.create(company()).fields["name"] == "ООО Ромашка"


def test_a_base_without_a_free_licence_is_asked_again_in_a_minute() -> None:
    with running(max_sessions=1) as onec:
        onec.base.sessions.start()

        with pytest.raises(RemoteUnavailable, match="licence") as caught:
            onec.parties.create(company())

    assert caught.value.retry_after_seconds == 60


# --- what the base says of itself ------------------------------------------------------------------------------------


def test_what_the_base_offers_is_asked_once_in_ten_minutes(onec: Onec) -> None:
    capabilities = OnecCapabilities(client=onec.client, clock=onec.clock)

    assert [capabilities.missing(entity) for entity in EntityKind] == [None] * len(EntityKind)
    assert onec.calls == 1
    onec.clock.ahead = timedelta(minutes=11)
    assert capabilities.missing(EntityKind.DEAL) is None
    assert onec.calls == 2


def test_an_entity_that_the_base_does_not_offer_is_off_with_a_reason() -> None:
    with running(capabilities=("counterparties", "orders")) as onec:
        capabilities = OnecCapabilities(client=onec.client, clock=onec.clock)

        assert capabilities.missing(EntityKind.DEAL) is None
        assert "invoices" in (capabilities.missing(EntityKind.INVOICE) or "")
        assert "statuses" in (capabilities.missing(EntityKind.STATUS) or "")


def test_a_closed_base_still_offers_what_it_offered(onec: Onec) -> None:
    capabilities = OnecCapabilities(client=onec.client, clock=onec.clock)
    capabilities.missing(EntityKind.DEAL)
    onec.break_with("maintenance")
    onec.clock.ahead = timedelta(minutes=11)

    assert capabilities.missing(EntityKind.DEAL) is None


def test_a_base_that_never_answered_says_so(onec: Onec) -> None:
    onec.break_with("maintenance")

    with pytest.raises(RemoteUnavailable):
        OnecCapabilities(client=onec.client, clock=onec.clock).missing(EntityKind.DEAL)


def examine(onec: Onec, *, cap: int = 2, mapped: frozenset[str] = frozenset()) -> dict[str, bool]:
    examiner = OnecExaminer(client=onec.client, clock=onec.clock, session_cap=cap, mapped_statuses=mapped)
    assert examiner.system is System.ONEC
    findings = examiner.examine()
    assert all(finding.advice for finding in findings if not finding.ok)
    return {finding.check: finding.ok for finding in findings}


def test_a_healthy_base_passes_every_check(onec: Onec) -> None:
    mapped = frozenset({"КОбеспечению", "КОтгрузке", "Закрыт", "Отменен"})

    checks = examine(onec, mapped=mapped)

    assert all(checks.values())
    assert {"1C answers", "1C contract version", "1C clock", "1C sessions", "1C offers changes"} <= checks.keys()


@pytest.mark.parametrize(
    ("check", "options"),
    [
        ("1C sessions", {"cap": 5}),
        ("1C order statuses are mapped", {"mapped": frozenset({"Закрыт"})}),
        ("mapped statuses are in 1C", {"mapped": frozenset({"Зокрыт"})}),
    ],
)
def test_a_setting_that_does_not_fit_the_base_is_found(onec: Onec, check: str, options: dict[str, Any]) -> None:
    assert examine(onec, **options)[check] is False


def test_a_clock_that_is_off_is_found(onec: Onec) -> None:
    onec.clock.ahead = timedelta(seconds=90)

    assert examine(onec)["1C clock"] is False


def test_a_missing_capability_is_found() -> None:
    with running(capabilities=("counterparties",)) as onec:
        checks = examine(onec)

    assert checks["1C offers counterparties"]
    assert not checks["1C offers orders"]


def test_a_base_that_cannot_be_reached_is_one_finding() -> None:
    with running(password="wrong") as onec:
        assert examine(onec) == {"1C answers": False}
        onec.break_with("http503")
        assert examine(onec) == {"1C answers": False}
