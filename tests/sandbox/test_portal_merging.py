"""The manager merges duplicates: one card is left with what both had, and two events tell of it."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running

REF, OTHER_REF = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


@pytest.fixture
def merge(peer):
    """Merge, and return the events that it fired."""

    def run(kind: str, winner: int, loser: int, **form: str) -> list[str]:
        before = len(peer.fired())
        answer = peer.form(f"/ui/{kind}/merge", {"winner": winner, "loser": loser, **form})
        assert (answer.status_code, answer.json()) == (200, {"id": winner})
        return peer.fired()[before:]

    return run


@pytest.fixture
def contact(peer):
    return lambda **fields: peer.call("crm.contact.add", fields={"NAME": "Анна", **fields})


@pytest.fixture
def company(peer):
    return lambda **fields: peer.call("crm.company.add", fields={"TITLE": "ООО Ромашка", **fields})


@pytest.mark.parametrize(
    ("told_first", "expected"),
    [
        ("update", ["ONCRMCONTACTUPDATE", "ONCRMCONTACTDELETE"]),
        ("delete", ["ONCRMCONTACTDELETE", "ONCRMCONTACTUPDATE"]),
    ],
)
def test_merge_fires_one_update_and_one_delete_in_either_order(peer, merge, contact, told_first, expected):
    winner, loser = contact(), contact()
    assert merge("contacts", winner, loser, told_first=told_first) == expected
    told = [(event.event[-6:], event.data["FIELDS"]["ID"]) for event in list(peer.portal.events.log)[-2:]]
    assert sorted(told) == [("DELETE", str(loser)), ("UPDATE", str(winner))]
    assert peer.refused("crm.contact.get", id=loser) == (400, "", "Not found")


def test_phones_and_emails_of_the_loser_join_the_winners_each_once(peer, merge, contact):
    winner = contact(PHONE=[{"VALUE": "8 916 1112233", "VALUE_TYPE": "MOBILE"}])
    loser = contact(
        PHONE=[{"VALUE": "8 (916) 111-22-33"}, {"VALUE": "5", "VALUE_TYPE": "HOME"}], EMAIL=[{"VALUE": "a@example.com"}]
    )
    before = peer.call("crm.contact.get", id=winner)["PHONE"]
    merge("contacts", winner, loser)
    card = peer.call("crm.contact.get", id=winner)
    assert card["PHONE"][0] == before[0]
    assert [(one["VALUE_TYPE"], one["VALUE"]) for one in card["PHONE"][1:]] == [("HOME", "5")]
    assert [one["VALUE"] for one in card["EMAIL"]] == ["a@example.com"]
    found = peer.call("crm.duplicate.findbycomm", type="EMAIL", values=["a@example.com"], entity_type="CONTACT")
    assert found == {"CONTACT": [winner]}


def test_filled_fields_of_the_winner_stay_and_blank_ones_are_taken_over(peer, merge, contact):
    winner = contact(LAST_NAME="Белова", UF_CRM_1C_ID=REF)
    loser = contact(LAST_NAME="Белая", COMMENTS="VIP", UF_CRM_1C_ID=OTHER_REF, ORIGINATOR_ID="1C", ORIGIN_ID=OTHER_REF)
    merge("contacts", winner, loser)
    card = peer.call("crm.contact.get", id=winner)
    assert (card["LAST_NAME"], card["COMMENTS"], card["UF_CRM_1C_ID"]) == ("Белова", "VIP", REF)
    assert card["ORIGIN_ID"] == OTHER_REF


def test_1c_id_travels_to_a_winner_that_has_none(peer, merge, company):
    winner, loser = company(), company(UF_CRM_1C_ID=REF)
    merge("companies", winner, loser)
    assert peer.call("crm.company.get", id=winner)["UF_CRM_1C_ID"] == REF


def test_requisites_travel_with_their_ids_and_addresses(peer, merge, company):
    winner, loser = company(), company()
    whose = {"ENTITY_TYPE_ID": 4, "ENTITY_ID": loser, "PRESET_ID": 1, "NAME": "x", "RQ_INN": "7707083893"}
    requisite = peer.call("crm.requisite.add", fields=whose)
    key = {"TYPE_ID": 6, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite}
    peer.call("crm.address.add", fields={**key, "CITY": "Тула"})
    merge("companies", winner, loser)
    (found,) = peer.call("crm.requisite.list", filter={"RQ_INN": "7707083893"})
    assert (found["ID"], found["ENTITY_ID"]) == (str(requisite), str(winner))
    (address,) = peer.call("crm.address.list", filter={"ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite})
    assert (address["CITY"], address["ANCHOR_ID"]) == ("Тула", str(winner))


def test_contact_and_company_of_the_same_number_are_not_mixed_up(peer, merge, contact, company):
    """Requisites are kept by the owner's number, and numbers repeat between kinds."""
    winner, loser = company(), company()
    while contact() < loser:
        pass
    whose = {"ENTITY_TYPE_ID": 3, "ENTITY_ID": loser, "PRESET_ID": 5, "NAME": "x"}
    requisite = peer.call("crm.requisite.add", fields=whose)
    merge("companies", winner, loser)
    assert peer.call("crm.requisite.get", id=requisite)["ENTITY_ID"] == str(loser)


def test_deals_and_people_of_the_loser_are_the_winners(peer, merge, contact, company):
    firms, people = (company(), company()), (contact(), contact())
    peer.call("crm.contact.company.add", id=people[1], fields={"COMPANY_ID": firms[1]})
    deal = peer.call("crm.deal.add", fields={"TITLE": "x", "COMPANY_ID": firms[1], "CONTACT_ID": people[1]})
    merge("companies", *firms)
    assert peer.call("crm.contact.get", id=people[1])["COMPANY_ID"] == str(firms[0])
    merge("contacts", *people)
    shown = peer.call("crm.deal.get", id=deal)
    assert (shown["COMPANY_ID"], shown["CONTACT_ID"]) == (str(firms[0]), str(people[0]))
    (link,) = peer.call("crm.contact.company.items.get", id=people[0])
    assert (link["COMPANY_ID"], link["IS_PRIMARY"]) == (firms[0], "Y")


def test_what_cannot_be_merged_is_refused(peer, contact):
    one = contact()
    assert peer.form("/ui/contacts/merge", {"winner": one, "loser": one}).status_code == 400
    assert peer.form("/ui/contacts/merge", {"winner": one, "loser": 77}).status_code == 404
    assert peer.form("/ui/contacts/merge", {"winner": one}).status_code == 404
    deals = [peer.call("crm.deal.add", fields={"TITLE": "x"}) for _ in range(2)]
    assert peer.form("/ui/deals/merge", {"winner": deals[0], "loser": deals[1]}).status_code == 400


def test_card_offers_to_merge_people_and_firms_only(peer, contact):
    peer.call("crm.deal.add", fields={"TITLE": "x"})
    page = peer.session.get(f"{peer.url}/ui/contacts/{contact()}", timeout=20).text
    assert 'action="/ui/contacts/merge"' in page
    assert "merge" not in peer.session.get(f"{peer.url}/ui/deals/1", timeout=20).text
