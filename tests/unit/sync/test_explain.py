"""What `explain` tells of a record in each state, and that it writes nothing for it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_worker.contract import OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.letter import Choice, Decision
from sync_worker.domain.rules import Contacts, Owner
from sync_worker.entities.document import Document
from sync_worker.entities.lead import Lead
from sync_worker.entities.status import OrderStatus
from sync_worker.errors import RemoteRejected, RemoteUnavailable
from sync_worker.gateways.onec.states import OnecStates
from sync_worker.sync.dry_run import Operation
from sync_worker.sync.explain import Explainer, Explanation, State
from tests.unit.sync.world import (
    BLANK,
    COMPANY,
    CONTACT,
    DEAL,
    INN,
    INVOICE,
    KPP,
    LEAD,
    ORDER,
    OTHER_PARTY,
    PARTY,
    World,
    company,
    contact,
    deal,
    linked,
)

WRITES = {"create", "update", "write_back", "move", "upsert_lead", "upsert_order"}


class FakeDocumentReader:
    """Port DocumentReader over what FakeOnecDocuments keeps; `statuses` by the order's id."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.statuses: dict[str, str] = {}
        self.sequence = 1

    def find(self, type_: RecordType, *, external_id: str | None, known: RecordRef | None) -> Document | None:
        for key, (ref, fields) in self.world.documents.documents.items():
            if ref.type is type_ and (key == external_id or ref == known):
                return self._document(key, ref, fields)
        return None

    def _document(self, key: str, ref: RecordRef, fields: dict[str, Any]) -> Document:
        is_deleted = key in self.world.documents.marked
        status = OrderStatus(
            order=ref,
            sequence=self.sequence,
            status=self.statuses.get(ref.id),
            deal=None,
            is_deleted=is_deleted,
        )
        return Document(
            ref=ref, external_id=key, fields=fields, number="УТ-1", version="v", sequence=self.sequence,
            is_deleted=is_deleted, status=status if ref.type is RecordType.ORDER else None,
        )  # fmt: skip


@pytest.fixture
def documents(world: World) -> FakeDocumentReader:
    return FakeDocumentReader(world)


@pytest.fixture
def explain(world: World, documents: FakeDocumentReader) -> Any:
    """Explain a record, and see to it that nothing was written for that."""

    def run(ref: RecordRef) -> Explanation:
        explainer = Explainer(worker=world.worker, documents=documents, parked=world.parked, held=lambda card: card)
        before = kept(world)
        found = explainer.explain(ref)
        assert kept(world) == before
        return found

    return run


def kept(world: World) -> bytes:
    """All that both systems and all stores hold, and what was asked to be written."""
    systems = [vars(one) for one in (world.portal, world.base, world.leads, world.deals, world.cards, world.documents)]
    contents = [{name: value for name, value in one.items() if name != "calls"} for one in systems]
    stores = (world.links, world.memories, world.letters, world.parked, world.reads, world.tally, world.outbox)
    told = [vars(one) for one in (*stores, world.stories, world.audit)]
    remotes = (world.portal, world.base, world.leads, world.deals, world.cards, world.documents)
    written = [call for remote in remotes for call in remote.calls if call in WRITES]
    return pickle.dumps((contents, told, written))


def fields_of(found: Explanation, system: System) -> dict[str, Any]:
    (action,) = [one for one in found.actions if one.record.system is system]
    return dict(action.fields)


def has_reason(found: Explanation, *words: str) -> bool:
    return any(all(word in reason for word in words) for reason in found.reasons)


# --- the states ------------------------------------------------------------------------------------------------------


def test_linked(world: World, explain: Any) -> None:
    world.linked_company()

    found = explain(COMPANY)

    assert found.state is State.LINKED
    assert found.link == world.links.find(COMPANY)
    assert found.actions == ()
    assert has_reason(found, "as both sides last agreed")


def test_unlinked(world: World, explain: Any) -> None:
    world.portal.put(company())

    found = explain(COMPANY)

    assert (found.state, found.link) == (State.UNLINKED, None)
    created, named = found.actions
    assert (created.operation, created.record) == (Operation.CREATE, onec_ref(RecordType.COUNTERPARTY, "new"))
    assert created.fields["inn"] == (None, INN)
    assert created.fields["external_id"] == (None, "b24:company:7")
    assert (named.operation, named.record, named.fields) == (
        Operation.UPDATE, COMPANY, {"UF_CRM_1C_ID": (None, "new")},
    )  # fmt: skip
    assert has_reason(found, f"ИНН {INN} and КПП {KPP}", "nobody in 1C has it: a new record is made")


def test_ambiguous(world: World, explain: Any) -> None:
    world.portal.put(company())
    for ref in (PARTY, OTHER_PARTY):
        world.base.put(company(ref))

    found = explain(COMPANY)

    assert found.state is State.AMBIGUOUS
    assert found.actions == ()
    assert set(found.candidates) == {str(PARTY), str(OTHER_PARTY)}
    assert has_reason(found, f"ИНН {INN}", "2 found", str(PARTY), str(OTHER_PARTY))
    assert has_reason(found, "a person would be asked (ambiguous_match)", "Pick the record")


def test_conflicting(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.portal.edit(left.ref, name="Лютик")
    world.base.edit(right.ref, name="Василёк")

    for ref in (left.ref, right.ref):
        found = explain(ref)

        assert found.state is State.CONFLICTING
        assert found.actions == ()
        assert found.conflicts == {"name": {"baseline": "Ромашка", "bitrix24": "Лютик", "onec": "Василёк"}}
        assert has_reason(found, "name: both sides changed it differently", 'owners.counterparty.name = "shared"')


def test_a_conflict_whose_letter_is_filed_is_still_conflicting(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.base.edit(right.ref, name="Василёк")
    world.portal.edit(left.ref, name="Лютик")
    world.run(world.ring(left.ref))

    found = explain(right.ref)

    assert found.state is State.CONFLICTING
    assert [letter.cause for letter in found.letters] == ["field_conflict"]
    assert has_reason(found, f"dead letter {world.letter().id}", "Say for each field")


def test_parked_behind_a_letter(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.portal.edit(left.ref, phones=["+79990000001"])
    world.base.fail("update", RemoteRejected("1C says no"))
    world.run(world.ring(left.ref))

    found = explain(left.ref)

    assert found.state is State.PARKED
    assert has_reason(found, f"dead letter {world.letter().id} (remote_rejected)", "holds back its later events")
    assert fields_of(found, System.ONEC) == {"phones": (["+74951234567"], ["+79990000001"])}
    assert explain(right.ref).state is State.PARKED


def test_parked_until_a_time(world: World, explain: Any) -> None:
    world.linked_company()
    event = world.ring(COMPANY)
    world.parked.park(event, ready_at=world.clock.now() + timedelta(minutes=5), reason="1C is closed")

    found = explain(COMPANY)

    assert found.state is State.PARKED
    assert has_reason(found, "is parked until", "1C is closed")


def test_a_doorbell_that_is_only_gathered_is_not_parked(world: World, explain: Any) -> None:
    world.linked_company()
    world.parked.park(world.ring(COMPANY), ready_at=world.clock.now(), reason="the record was read a moment ago")

    assert explain(COMPANY).state is State.LINKED


def test_deleted(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    del world.portal.records[left.ref]

    for ref in (left.ref, right.ref):
        found = explain(ref)

        assert found.state is State.DELETED
        assert found.actions == ()
        assert has_reason(found, f"{left.ref} was deleted") or has_reason(found, "is gone or marked for deletion")


def test_deleted_with_a_tombstone(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.base.alter(right.ref, is_deleted=True)
    world.run(world.deleted_in_onec(EntityKind.CONTACT, right.ref))

    for ref in (left.ref, right.ref):
        found = explain(ref)

        assert found.state is State.DELETED
        assert found.link is not None
        assert found.link.deleted_in is System.ONEC
        assert has_reason(found, f"{right.ref} was deleted", "tombstone")


def test_marked_for_deletion_in_1c_and_not_announced_yet(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.base.alter(right.ref, is_deleted=True)

    assert {explain(left.ref).state, explain(right.ref).state} == {State.DELETED}


def test_gone(explain: Any) -> None:
    for ref in (COMPANY, PARTY, INVOICE, ORDER, LEAD, DEAL):
        found = explain(ref)

        assert (found.state, found.actions) == (State.GONE, ())
        assert has_reason(found, f"{ref} is not there")


def test_skipped_names_the_rule(world: World, explain: Any) -> None:
    rules = replace(world.rules.counterparties, contacts=Contacts.WITHOUT_COMPANY)
    world.rules = replace(world.rules, counterparties=rules)
    world.portal.put(contact(company_id="7"))

    found = explain(CONTACT)

    assert found.state is State.SKIPPED
    assert has_reason(found, "belongs to company 7", 'counterparties.contacts = "without_company"')


# --- what would be written, and why ----------------------------------------------------------------------------------


def test_an_owned_value_names_its_owner(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.base.edit(right.ref, phones=["+79990000002"])

    for ref in (left.ref, right.ref):
        found = explain(ref)

        assert found.state is State.LINKED
        assert fields_of(found, System.ONEC) == {"phones": (["+79990000002"], ["+74951234567"])}
        assert has_reason(
            found, 'phones: its owner\'s value wins (owners.counterparty.phones = "bitrix24" in sync.toml)', "gives way"
        )


def test_the_rules_that_count_are_those_of_sync_toml(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    owners = {**world.rules.counterparties.owners, "phones": Owner.ONEC}
    rules = replace(world.rules.counterparties, owners=owners)
    world.rules = replace(world.rules, counterparties=rules)
    world.base.edit(right.ref, phones=["+79990000002"])

    found = explain(left.ref)

    assert fields_of(found, System.BITRIX24) == {"phones": (["+74951234567"], ["+79990000002"])}
    assert has_reason(found, 'owners.counterparty.phones = "onec"')


def test_a_match_names_its_key(world: World, explain: Any) -> None:
    world.portal.put(company(fields={**BLANK, "name": "Ромашка", "inn": INN, "kpp": KPP}))
    world.base.put(company(PARTY, fields={**BLANK, "name": "Ромашка", "inn": INN, "kpp": KPP}))

    found = explain(COMPANY)

    assert found.state is State.UNLINKED
    assert fields_of(found, System.ONEC) == {"external_id": (None, COMPANY.external_id)}
    assert fields_of(found, System.BITRIX24) == {"UF_CRM_1C_ID": (None, PARTY.id)}
    assert has_reason(found, f"matched with {PARTY} by ИНН {INN} and КПП {KPP}")


def test_a_record_that_names_its_partner_is_linked_by_that(world: World, explain: Any) -> None:
    world.portal.put(company(other_ref=PARTY.id))
    world.base.put(company(PARTY, other_ref=COMPANY.external_id))

    found = explain(COMPANY)

    assert (found.state, found.actions) == (State.UNLINKED, ())
    assert has_reason(found, f"{COMPANY} carries the id of {PARTY} (UF_CRM_1C_ID)")


def test_a_person_of_1c_becomes_a_contact_without_a_kpp(world: World, explain: Any) -> None:
    world.base.put(replace(contact(), ref=PARTY))

    found = explain(PARTY)

    created = found.actions[0]
    assert (created.operation, created.record) == (Operation.CREATE, bitrix24_ref(RecordType.CONTACT, "new"))
    assert created.fields["emails"] == (None, ["ivan@example.com"])
    assert "kpp" not in created.fields


def test_what_was_decided_counts(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.base.edit(right.ref, name="Василёк")
    world.portal.edit(left.ref, name="Лютик")
    world.run(world.ring(left.ref))
    decision = Decision(fields={"name": Choice(value="Василёк", bitrix24="Лютик", onec="Василёк")})
    world.letters.change(world.letter().id, lambda letter: replace(letter, decision=decision))

    found = explain(left.ref)

    assert found.state is State.PARKED
    assert fields_of(found, System.BITRIX24) == {"name": ("Лютик", "Василёк")}
    assert has_reason(found, "a person decided, and the replay will carry it out: name: 1C's")
    assert has_reason(found, "name: a person decided")


def test_an_entity_that_the_base_does_not_offer(world: World, explain: Any) -> None:
    world.portal.put(company())
    world.capabilities.lacking.add(EntityKind.CONTACT)

    found = explain(COMPANY)

    assert (found.state, found.actions) == (State.UNLINKED, ())
    assert has_reason(found, "the base does not offer contact")


def test_a_remote_that_is_away_is_no_answer(world: World, explain: Any) -> None:
    world.portal.fail("read", RemoteUnavailable("the portal is away"))

    with pytest.raises(RemoteUnavailable):
        explain(COMPANY)


# --- documents -------------------------------------------------------------------------------------------------------


def test_a_deal_sends_its_company_first(world: World, explain: Any) -> None:
    world.portal.put(company())
    world.deals.records[DEAL] = deal()

    found = explain(DEAL)

    assert found.state is State.UNLINKED
    assert [(one.operation, one.record.key) for one in found.actions] == [
        ("create", "counterparty:new"), ("update", "company:7"), ("create", "order:new"), ("update", "deal:5"),
    ]  # fmt: skip
    assert found.actions[2].fields["amount"] == (None, "1200.00")
    assert found.actions[3].fields == {
        "UF_CRM_1C_ID": (None, "new"),
        "timeline_comment": (None, "1С: создан заказ № …"),
    }
    assert has_reason(found, "stage EXECUTING sends it ([[pipelines]] category = 0, send_at = EXECUTING)")
    assert has_reason(found, "orders.total_tolerance = 0.01")


def test_a_deal_at_another_stage_stays(world: World, explain: Any) -> None:
    world.deals.records[DEAL] = deal(stage="NEW")

    found = explain(DEAL)

    assert (found.state, found.actions) == (State.SKIPPED, ())
    assert has_reason(found, "stage NEW does not send it", "retry.max_age_hours")


def test_a_deal_of_another_pipeline_stays(world: World, explain: Any) -> None:
    world.deals.records[DEAL] = deal(category=3)

    assert has_reason(explain(DEAL), "pipeline 3 is none of [[pipelines]] in sync.toml")


def test_a_sent_deal_tells_what_changed(world: World, explain: Any) -> None:
    order = world.sent_deal()
    at_rest = explain(DEAL)
    world.deals.records[DEAL] = replace(
        world.deals.records[DEAL], fields={**world.deals.records[DEAL].fields, "title": "Поставка 2"}
    )

    for ref in (DEAL, order):
        found = explain(ref)

        assert found.state is State.LINKED
        assert fields_of(found, System.ONEC) == {"title": ("Поставка", "Поставка 2")}
    assert at_rest.actions == ()
    assert has_reason(at_rest, "as it was last sent")


def test_a_deal_whose_company_waits_for_a_person(world: World, explain: Any) -> None:
    world.portal.put(company())
    for ref in (PARTY, OTHER_PARTY):
        world.base.put(company(ref))
    world.deals.records[DEAL] = deal()

    found = explain(DEAL)

    assert (found.state, found.actions) == (State.UNLINKED, ())
    assert has_reason(found, "a person would be asked (ambiguous_match)", str(COMPANY), "Pick the record")


def test_a_status_tells_its_stage(world: World, explain: Any, documents: FakeDocumentReader) -> None:
    order = world.sent_deal()
    documents.statuses[order.id], documents.sequence = "КОтгрузке", 50

    found = explain(order)

    assert fields_of(found, System.BITRIX24) == {"stage": ("EXECUTING", "FINAL_INVOICE")}
    assert has_reason(found, "1C status КОтгрузке means stage FINAL_INVOICE ([[pipelines]] category = 0, stages)")


def test_a_status_that_is_not_mapped(world: World, explain: Any, documents: FakeDocumentReader) -> None:
    order = world.sent_deal()
    documents.statuses[order.id], documents.sequence = "ВРезерве", 50

    found = explain(DEAL)

    assert [error.cause for error in found.failures] == ["status_unmapped"]
    assert has_reason(found, "1C status ВРезерве has no stage")


def test_an_order_that_is_marked_for_deletion(world: World, explain: Any, documents: FakeDocumentReader) -> None:
    order = world.sent_deal()
    world.documents.marked.add(DEAL.external_id)
    documents.sequence = 50

    assert {explain(DEAL).state, explain(order).state} == {State.DELETED}


def test_a_lead_names_what_qualifies_it(world: World, explain: Any) -> None:
    world.leads.records[LEAD] = Lead(ref=LEAD, status="NEW", fields={"title": "Заявка"})
    fresh = explain(LEAD)
    world.leads.records[LEAD] = Lead(ref=LEAD, status="CONVERTED", fields={"title": "Заявка"})

    found = explain(LEAD)

    assert (fresh.state, found.state) == (State.SKIPPED, State.UNLINKED)
    assert has_reason(fresh, "status NEW does not qualify it (leads.qualified in sync.toml: CONVERTED)")
    assert has_reason(found, "status CONVERTED qualifies it")
    assert [(one.operation, one.record.key) for one in found.actions] == [
        ("create", "lead:new"), ("update", "lead:3"),
    ]  # fmt: skip


def put_invoice(world: World) -> Any:
    data = {"number": "12", "date": "2026-11-21", "amount": "1000", "currency": "RUB", "status": "issued", "rows": []}
    data |= {"order_external_id": DEAL.external_id, "counterparty_external_id": COMPANY.external_id}
    state = OnecState(data=data, sequence=1, version="v1", external_id=None, event_id="e1")
    world.invoices.invoices[INVOICE] = OnecStates().invoice(INVOICE, state)
    return world.event(EntityKind.INVOICE, INVOICE, state)


def test_an_invoice_gets_its_card(world: World, explain: Any) -> None:
    put_invoice(world)

    found = explain(INVOICE)

    assert found.state is State.UNLINKED
    (created,) = found.actions
    assert (created.operation, created.record) == (Operation.CREATE, bitrix24_ref(RecordType.INVOICE, "new"))
    assert created.fields["stage"] == (None, "N")
    assert created.fields["deal_id"] == (None, "5")
    assert has_reason(found, "1C owns invoices", "issued is stage N")


def test_a_card_that_was_edited_is_put_right(world: World, explain: Any) -> None:
    world.handle(put_invoice(world))
    (card,) = world.cards.cards
    at_rest = explain(card)
    world.cards.edit(card, comment="so not")

    for ref in (card, INVOICE):
        found = explain(ref)

        assert found.state is State.LINKED
        assert fields_of(found, System.BITRIX24) == {"comment": ("so not", None)}
        assert has_reason(found, "1C owns invoices")
    assert (at_rest.state, at_rest.actions) == (State.LINKED, ())


def test_a_restored_record_is_linked_again(world: World, explain: Any) -> None:
    left, right = world.linked_company()
    world.links.save(linked(left.ref, right.ref, deleted_in=System.BITRIX24))

    assert explain(left.ref).state is State.LINKED
