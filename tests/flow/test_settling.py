"""What a person decides about a dead letter is carried out in both real systems."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.identity import RecordRef, RecordType, System, onec_ref
from sync_worker.domain.letter import Decision, Selection
from sync_worker.domain.rules import Owner
from sync_worker.sync.office import choose_side, choose_value
from tests.flow.world import INN, KPP, FlowWorld


@pytest.fixture
def world(make_world):
    return make_world()


def only_letter(world: FlowWorld, cause: str) -> Any:
    (letter,) = world.letters()
    assert letter.cause == cause
    return letter


def decide(world: FlowWorld, **decision: Any) -> None:
    """Settle the only letter; its replay and all that follows come to rest without another."""
    (letter,) = world.letters()
    world.office.resolve(letter.id, Decision(**decision), by="anna")
    world.drain()
    assert world.letters() == []
    world.assert_at_rest()


def parties(world: FlowWorld) -> dict[str, Any]:
    return {party["ref"]: party for party in world.in_onec("counterparties")}


class TestConflicts:
    @pytest.fixture
    def conflict(self, world):
        """A company's name and comment were changed on both sides."""
        ref = world.company(inn=INN, kpp=KPP, comments="Старое")
        world.drain()
        ((party, _),) = parties(world).items()
        world.portal_form(f"companies/{ref.id}", title="ООО Ромашка-А", comments="Из Битрикс24")
        world.onec.by_hand(f"counterparties/{party}", name="ООО Ромашка-Б", comment="Из 1С")
        world.drain()
        return only_letter(world, "field_conflict"), ref, party

    def test_a_side_a_field_and_a_value_of_ones_own(self, world, conflict):
        letter, ref, party = conflict

        decide(world, fields={
            "name": choose_side(letter, "name", Owner.ONEC),
            "comment": choose_value(letter, "comment", "Решено вместе"),
        })  # fmt: skip

        card, object_ = world.in_portal("company", ref.id), parties(world)[party]
        assert (card["TITLE"], card["COMMENTS"]) == ("ООО Ромашка-Б", "Решено вместе")
        assert (object_["name"], object_["comment"]) == ("ООО Ромашка-Б", "Решено вместе")

    def test_an_edit_after_the_decision_is_not_overwritten(self, world, conflict):
        letter, ref, _party = conflict
        fields = {name: choose_side(letter, name, Owner.ONEC) for name in ("name", "comment")}
        world.portal_form(f"companies/{ref.id}", title="ООО Ромашка-В")

        world.office.resolve(letter.id, Decision(fields=fields), by="anna")
        world.drain()

        again = only_letter(world, "field_conflict")
        assert (
            set(again.details["fields"]) == {"name"} or again.details["fields"]["name"]["bitrix24"] == "ООО Ромашка-В"
        )
        assert world.in_portal("company", ref.id)["TITLE"] == "ООО Ромашка-В"


class TestCandidates:
    @pytest.fixture
    def ambiguous(self, world):
        """Two counterparties of one ИНН and КПП, which is a mess that somebody made in 1C by hand."""
        refs = [world.party(name=f"АО Двойник {number}", inn=INN) for number in (1, 2)]
        world.events()
        company = world.company(title="АО Двойник 2", inn=INN)
        world.drain()
        letter = only_letter(world, "ambiguous_match")
        assert set(letter.details["candidates"]) == {str(onec_ref(RecordType.COUNTERPARTY, ref)) for ref in refs}
        return company, refs

    def test_the_picked_one_becomes_the_partner(self, world, ambiguous):
        company, (first, second) = ambiguous

        decide(world, pick=onec_ref(RecordType.COUNTERPARTY, second))

        assert parties(world)[second]["external_id"] == company.external_id
        assert parties(world)[first]["external_id"] is None
        assert world.in_portal("company", company.id)["UF_CRM_1C_ID"] == second

    def test_none_of_them_makes_a_third(self, world, ambiguous):
        company, refs = ambiguous

        decide(world, create=True)

        (third,) = parties(world).keys() - set(refs)
        assert parties(world)[third]["external_id"] == company.external_id

    def test_a_link_that_is_taken_moves_when_it_is_picked(self, world):
        first = world.company(inn=INN, kpp=KPP)
        world.drain()
        ((party, _),) = parties(world).items()
        second = world.company(inn=INN, kpp=KPP)
        world.drain()
        only_letter(world, "ambiguous_match")

        world.office.resolve(world.letters()[0].id, Decision(pick=onec_ref(RecordType.COUNTERPARTY, party)), by="anna")
        world.drain()

        assert parties(world)[party]["external_id"] == second.external_id
        assert world.worker.links.find(second).onec.id == party
        assert world.worker.links.find(first) is None

    def test_an_invalid_inn_waits_for_a_person(self, world):
        world.company(title="ООО Опечатка", inn="7707083890")
        world.drain()
        only_letter(world, "invalid_key")
        assert parties(world) == {}


class TestDeleted:
    def test_a_deleted_card_is_made_anew_of_what_1c_has(self, world):
        ref = world.company(inn=INN, kpp=KPP, phone="8 495 123-45-67")
        world.drain()
        ((party, _),) = parties(world).items()
        world.portal_form(f"companies/{ref.id}/delete")
        world.drain()
        only_letter(world, "link_broken")

        decide(world, create=True)

        (card,) = world.portal_all("company")
        assert (card["TITLE"], card["UF_CRM_1C_ID"]) == ("ООО Ромашка", party)
        assert parties(world)[party]["external_id"] == f"b24:company:{card['ID']}"

    def test_another_counterparty_takes_a_deleted_ones_place(self, world):
        ref = world.company(inn=INN, kpp=KPP)
        world.drain()
        ((party, _),) = parties(world).items()
        world.onec.by_hand(f"counterparties/{party}/delete")
        world.drain()
        letter = only_letter(world, "link_broken")
        assert letter.details["gone"] == f"onec:counterparty:{party}"
        heir = world.party(name="ООО Ромашка", inn=INN, kpp=KPP)
        world.events()

        decide(world, pick=onec_ref(RecordType.COUNTERPARTY, heir))

        assert parties(world)[heir]["external_id"] == ref.external_id
        assert world.in_portal("company", ref.id)["UF_CRM_1C_ID"] == heir


class TestMergedCards:
    def merge(self, world: FlowWorld, winner: RecordRef, loser: RecordRef, first: str) -> None:
        form = {"winner": winner.id, "loser": loser.id, "told_first": first}
        assert world.portal.form("/ui/contacts/merge", form).status_code == 200

    @pytest.mark.parametrize("first", ["update", "delete"])
    def test_the_heir_of_a_linked_card_goes_on_in_its_place(self, world, first):
        linked = world.contact(email="anna@example.com", phone="8 916 555-01-01")
        world.drain()
        ((party, _),) = parties(world).items()
        heir = world.contact(last_name="Осипова", name="Анна Петровна", phone="8 916 555-02-02")
        world.events()  # its own event is still on its way while they are merged
        self.merge(world, heir, linked, first)

        world.drain()

        assert world.letters() == []
        assert [one["external_id"] for one in parties(world).values()] == [heir.external_id]
        assert sorted(phone["value"] for phone in parties(world)[party]["phones"]) == ["+79165550101", "+79165550202"]
        assert world.worker.links.find(linked) is None
        world.assert_at_rest()

    @pytest.mark.parametrize("first", ["update", "delete"])
    def test_two_linked_cards_that_were_merged_wait_for_a_person(self, world, first):
        loser = world.contact(email="anna@example.com")
        heir = world.contact(last_name="Осипова", name="Анна Петровна", email="a.osipova@example.com")
        world.drain()
        assert len(parties(world)) == 2
        self.merge(world, heir, loser, first)
        world.drain()
        letter = only_letter(world, "merged_away")
        kept = next(ref for ref, one in parties(world).items() if one["external_id"] == heir.external_id)

        world.office.resolve(letter.id, Decision(pick=onec_ref(RecordType.COUNTERPARTY, kept)), by="anna")
        world.drain()

        assert world.letters() == []
        assert world.worker.links.find(heir).onec.id == kept
        assert world.worker.links.find(loser).deleted_in is System.BITRIX24
        emails = {email["value"] for email in parties(world)[kept]["emails"]}
        assert emails == {"anna@example.com", "a.osipova@example.com"}
        world.assert_at_rest()


class TestTotals:
    def test_a_total_that_1c_counts_otherwise_is_told_and_goes_when_it_is_right(self, world):
        company = world.company(inn=INN)
        deal = world.deal(company_id=company.id)
        world.portal.call("crm.deal.update", id=deal.id, fields={"IS_MANUAL_OPPORTUNITY": "Y", "OPPORTUNITY": "1000"})
        world.drain()
        letter = only_letter(world, "total_mismatch")
        assert letter.details["totals"] == {"bitrix24": "1000.00", "onec": "1200.50"}
        assert len(world.in_onec("orders")) == 1

        world.portal.call("crm.deal.update", id=deal.id, fields={"OPPORTUNITY": "1200.50"})
        world.drain()

        assert world.letters() == []
        world.assert_at_rest()


class TestMany:
    def test_a_whole_cause_is_replayed_once_it_is_mended(self, world):
        deals = [world.deal(title=f"Сделка {number}") for number in range(5)]
        world.drain()
        assert [letter.cause for letter in world.letters()] == ["no_counterparty"] * 5
        company = world.company(inn=INN)
        for deal in deals:
            world.portal_form(f"deals/{deal.id}", company_id=company.id)
        world.drain()
        assert world.in_onec("orders") == []

        run = world.office.replay(Selection(cause="no_counterparty"), by="anna")
        assert world.office.advance() == 5
        world.drain()

        after = world.office.replays.get(run.id)
        assert (after.closed, after.failed, after.is_over) == (5, 0, True)
        assert len(world.in_onec("orders")) == 5
        world.assert_at_rest()
