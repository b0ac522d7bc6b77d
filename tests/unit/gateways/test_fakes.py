"""The fakes of both sides keep the promises that the contract tests hold the real gateways to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync_worker.domain.identity import RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord
from sync_worker.errors import AmbiguousMatch, RequiredFieldEmpty
from tests.fakes.gateways import FakeCounterpartySide, FakeDeals, FakeOnecDocuments

INN, KPP = "7707083893", "773601001"


def company(number: int, **fields: Any) -> CounterpartyRecord:
    ref = bitrix24_ref(RecordType.COMPANY, number)
    return CounterpartyRecord(ref=ref, kind=Kind.COMPANY, fields={"name": "ООО Ромашка", **fields})


@pytest.fixture
def onec() -> FakeCounterpartySide:
    return FakeCounterpartySide(System.ONEC)


def test_a_second_one_with_the_same_keys_needs_a_decision(onec: FakeCounterpartySide) -> None:
    first = onec.create(company(1, inn=INN, kpp=KPP))

    with pytest.raises(AmbiguousMatch) as caught:
        onec.create(company(2, inn=INN, kpp=KPP))
    second = onec.create(company(2, inn=INN, kpp=KPP), not_duplicate_of=[first.ref.id])

    assert caught.value.candidates == (str(first.ref),)
    assert set(onec.records) == {first.ref, second.ref}


def test_a_branch_is_no_second_one(onec: FakeCounterpartySide) -> None:
    onec.create(company(1, inn=INN, kpp=KPP))

    assert onec.create(company(2, inn=INN, kpp="540602001")).fields["kpp"] == "540602001"


def test_a_link_moves_by_a_decision_only_and_leaves_the_loser_unlinked(onec: FakeCounterpartySide) -> None:
    loser, winner = onec.create(company(1)), onec.create(company(2))

    with pytest.raises(AmbiguousMatch) as caught:
        onec.update(winner, {}, source=company(1))
    moved = onec.update(winner, {}, source=company(1), relink=True)

    assert set(caught.value.candidates) == {str(loser.ref), str(winner.ref)}
    assert (moved.other_ref, onec.records[loser.ref].other_ref) == ("b24:company:1", None)


def test_an_order_comes_to_what_was_sent_unless_1c_makes_another_sum_of_it() -> None:
    documents = FakeOnecDocuments()
    order = documents.upsert_order("b24:deal:5", {"amount": "10.00"}, known=None).ref

    assert documents.order_total(order) == Decimal("10.00")
    documents.totals["b24:deal:5"] = Decimal("9.99")
    assert documents.order_total(order) == Decimal("9.99")
    documents.marked.add("b24:deal:5")
    assert documents.order_total(order) is None


def test_a_deal_is_not_moved_where_the_portal_refuses_it() -> None:
    deals, deal = FakeDeals(), RecordRef(system=System.BITRIX24, type=RecordType.DEAL, id="5")
    deals.refusals["WON"] = RequiredFieldEmpty("Comments")

    with pytest.raises(RequiredFieldEmpty):
        deals.move(deal, "WON")
