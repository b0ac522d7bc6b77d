"""The old family: strings, nulls, absent keys, multi-fields, links, stages, product rows."""

from __future__ import annotations

import pytest

from sandbox.portal.entities import CONTACT
from tests.sandbox.portal_peer import running, sample


def phones(peer, contact_id):
    return [
        (entry["ID"], entry["VALUE_TYPE"], entry["VALUE"])
        for entry in peer.call("crm.contact.get", id=contact_id).get("PHONE", [])
    ]


def test_all_scalars_of_old_methods_are_strings_or_null():
    with running() as peer:
        deal_id = peer.call("crm.deal.add", fields={"TITLE": "Шкаф", "OPPORTUNITY": 1000000, "PROBABILITY": 99})
        deal = peer.call("crm.deal.get", id=deal_id)
    assert {type(value) for value in deal.values()} == {str, type(None)}
    assert (deal["ID"], deal["OPPORTUNITY"], deal["PROBABILITY"], deal["QUOTE_ID"]) == ("1", "1000000.00", "99", None)


def test_add_answers_a_bare_number_and_update_true():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна"})
        assert contact_id == 1
        assert peer.call("crm.contact.update", id=contact_id, fields={"NAME": "Вера"}) is True
        assert peer.call("crm.contact.delete", id=contact_id) is True


def test_multifields_are_absent_when_empty():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна", "EMAIL": [{"VALUE": "a@example.com"}]})
        contact = peer.call("crm.contact.get", id=contact_id)
    assert "PHONE" not in contact
    assert (contact["HAS_PHONE"], contact["HAS_EMAIL"]) == ("N", "Y")
    assert contact["EMAIL"] == [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": "a@example.com", "TYPE_ID": "EMAIL"}]


def test_dates_are_shown_with_the_servers_offset_and_taken_in_two_forms():
    with running() as peer:
        first = peer.call("crm.contact.add", fields={"NAME": "А", "BIRTHDATE": "11.11.2001"})
        second = peer.call("crm.contact.add", fields={"NAME": "Б", "BIRTHDATE": "2001-11-11T03:00:00+03:00"})
        shown = {peer.call("crm.contact.get", id=contact_id)["BIRTHDATE"] for contact_id in (first, second)}
    assert shown == {"2001-11-11T03:00:00+03:00"}


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


@pytest.fixture
def contact_id(peer):
    numbers = [{"VALUE": "111", "VALUE_TYPE": "WORK"}, {"VALUE": "222", "VALUE_TYPE": "HOME"}]
    return peer.call("crm.contact.add", fields={"NAME": "Анна", "PHONE": numbers})


class TestMultifields:
    def change(self, peer, contact_id, *entries):
        peer.call("crm.contact.update", id=contact_id, fields={"PHONE": list(entries)})
        return phones(peer, contact_id)

    def test_omission_never_deletes(self, peer, contact_id):
        peer.call("crm.contact.update", id=contact_id, fields={"NAME": "Вера"})
        assert len(phones(peer, contact_id)) == 2
        assert len(self.change(peer, contact_id)) == 2

    def test_entry_without_id_is_added(self, peer, contact_id):
        added = self.change(peer, contact_id, {"VALUE": "333", "VALUE_TYPE": "MOBILE"})
        assert added == [("1", "WORK", "111"), ("2", "HOME", "222"), ("3", "MOBILE", "333")]

    def test_resending_the_list_without_ids_duplicates_every_phone(self, peer, contact_id):
        assert len(self.change(peer, contact_id, {"VALUE": "111"}, {"VALUE": "222"})) == 4

    def test_entry_with_id_is_changed(self, peer, contact_id):
        changed = self.change(peer, contact_id, {"ID": 2, "VALUE": "999", "VALUE_TYPE": "MOBILE"})
        assert changed == [("1", "WORK", "111"), ("2", "MOBILE", "999")]

    @pytest.mark.parametrize("entry", [{"ID": 2, "DELETE": "Y"}, {"ID": 2, "VALUE": ""}, {"ID": 2}])
    def test_entry_is_deleted_in_three_ways(self, peer, contact_id, entry):
        assert self.change(peer, contact_id, entry) == [("1", "WORK", "111")]

    def test_bad_email_is_error_core(self, peer, contact_id):
        answer = peer.refused("crm.contact.update", id=contact_id, fields={"EMAIL": [{"VALUE": "nonsense"}]})
        assert answer[:2] == (400, "ERROR_CORE")


def test_user_field_must_be_declared_before_it_is_stored():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна", "UF_CRM_1C_ID": "lost"})
        field = {"USER_TYPE_ID": "string", "FIELD_NAME": "1c_id", "LABEL": "1С"}
        field_id = peer.call("crm.contact.userfield.add", fields=field)
        assert peer.call("crm.contact.get", id=contact_id)["UF_CRM_1C_ID"] is None
        peer.call("crm.contact.update", id=contact_id, fields={"UF_CRM_1C_ID": "kept"})
        assert peer.call("crm.contact.get", id=contact_id)["UF_CRM_1C_ID"] == "kept"
        found = peer.body("crm.contact.userfield.list", filter={"FIELD_NAME": "UF_CRM_1C_ID"})
        assert (found["total"], found["result"][0]["ID"]) == (1, str(field_id))
        assert peer.call("crm.company.userfield.list") == []


@pytest.mark.parametrize("given", ["1C_ID", "UF_1C_ID", "UF_CRM_1C_ID", "uf_crm_1c_id"])
def test_user_field_names_are_completed(given):
    with running() as peer:
        peer.call("crm.deal.userfield.add", fields={"USER_TYPE_ID": "string", "FIELD_NAME": given})
        assert peer.call("crm.deal.userfield.list")[0]["FIELD_NAME"] == "UF_CRM_1C_ID"


def test_user_field_faults_come_together_and_a_second_one_is_refused():
    with running() as peer:
        answer = peer.refused("crm.deal.userfield.add", fields={})
        assert answer == (
            400,
            "",
            "The 'USER_TYPE_ID' field is not found.\nThe 'FIELD_NAME' field is not found.",
        )
        field = {"USER_TYPE_ID": "string", "FIELD_NAME": "1C_ID"}
        peer.call("crm.deal.userfield.add", fields=field)
        assert peer.refused("crm.deal.userfield.add", fields=field)[1] == "ERROR_CORE"
        assert peer.refused("crm.deal.userfield.add", fields=field | {"FIELD_NAME": "Я"})[1] == "ERROR_CORE"


def test_fresh_portal_has_no_user_fields():
    with running() as peer:
        kinds = ("contact", "company", "lead", "deal")
        assert [peer.call(f"crm.{kind}.userfield.list") for kind in kinds] == [[], [], [], []]


def test_update_without_changes_is_saved_and_announced_all_the_same(peer, contact_id):
    before = len(peer.fired())
    peer.call("crm.contact.update", id=contact_id, fields={"NAME": "Анна"})
    assert peer.fired()[before:] == ["ONCRMCONTACTUPDATE"]


def test_contact_needs_a_first_or_a_last_name(peer):
    assert peer.refused("crm.contact.add", fields={"POST": "x"})[:2] == (400, "ERROR_CORE")


def test_links_of_contact_and_company(peer, contact_id):
    companies = [peer.call("crm.company.add", fields={"TITLE": f"ООО {index}"}) for index in range(3)]
    link = {"id": contact_id, "fields": {"COMPANY_ID": companies[0]}}
    assert peer.call("crm.contact.company.add", **link) is True
    assert peer.call("crm.contact.company.add", **link) is False  # linked already: HTTP 200
    later = {"COMPANY_ID": companies[1], "IS_PRIMARY": "Y", "SORT": 5}
    assert peer.call("crm.contact.company.add", id=contact_id, fields=later) is True
    assert peer.call("crm.contact.company.items.get", id=contact_id) == [
        {"COMPANY_ID": companies[1], "SORT": 5, "ROLE_ID": 0, "IS_PRIMARY": "Y"},
        {"COMPANY_ID": companies[0], "SORT": 10, "ROLE_ID": 0, "IS_PRIMARY": "N"},
    ]
    assert peer.call("crm.contact.get", id=contact_id)["COMPANY_ID"] == str(companies[1])
    mirror = peer.call("crm.company.contact.items.get", id=companies[0])
    assert [entry["CONTACT_ID"] for entry in mirror] == [contact_id]


def test_deleted_link_makes_the_next_one_primary(peer, contact_id):
    companies = [peer.call("crm.company.add", fields={"TITLE": f"ООО {index}"}) for index in range(2)]
    items = [{"COMPANY_ID": company_id} for company_id in companies]
    assert peer.call("crm.contact.company.items.set", id=contact_id, items=items) is True
    assert peer.call("crm.contact.company.delete", id=contact_id, fields={"COMPANY_ID": companies[0]}) is True
    assert peer.call("crm.contact.company.delete", id=contact_id, fields={"COMPANY_ID": companies[0]}) is False
    assert peer.call("crm.contact.get", id=contact_id)["COMPANY_ID"] == str(companies[1])


def test_contact_ids_replace_the_whole_list_of_a_deal(peer, contact_id):
    other = peer.call("crm.contact.add", fields={"NAME": "Вера"})
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x", "CONTACT_ID": contact_id})
    peer.call("crm.deal.update", id=deal_id, fields={"CONTACT_IDS": [other, contact_id]})
    items = peer.call("crm.deal.contact.items.get", id=deal_id)
    assert [(entry["CONTACT_ID"], entry["IS_PRIMARY"]) for entry in items] == [(other, "Y"), (contact_id, "N")]
    peer.call("crm.contact.delete", id=other)
    assert peer.call("crm.deal.get", id=deal_id)["CONTACT_ID"] == str(contact_id)


def test_stage_must_belong_to_the_deals_own_pipeline(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x", "CATEGORY_ID": 1})
    assert peer.call("crm.deal.get", id=deal_id)["STAGE_ID"] == "C1:NEW"
    assert peer.refused("crm.deal.update", id=deal_id, fields={"STAGE_ID": "WON"})[:2] == (400, "ERROR_CORE")
    peer.call("crm.deal.update", id=deal_id, fields={"STAGE_ID": "C1:WON"})
    deal = peer.call("crm.deal.get", id=deal_id)
    assert (deal["STAGE_SEMANTIC_ID"], deal["CLOSED"]) == ("S", "Y")


def test_old_update_cannot_move_a_deal_to_another_pipeline(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    peer.call("crm.deal.update", id=deal_id, fields={"CATEGORY_ID": 1})
    assert peer.call("crm.deal.get", id=deal_id)["CATEGORY_ID"] == "0"


def test_lead_converted_by_rest_makes_no_contact_and_closes(peer):
    lead_id = peer.call("crm.lead.add", fields={"TITLE": "x", "NAME": "Анна"})
    assert peer.call("crm.lead.get", id=lead_id)["DATE_CLOSED"] == ""
    peer.call("crm.lead.update", id=lead_id, fields={"STATUS_ID": "CONVERTED"})
    lead = peer.call("crm.lead.get", id=lead_id)
    assert lead["STATUS_SEMANTIC_ID"] == "S"
    assert lead["DATE_CLOSED"]
    assert len(peer.portal.store.table(CONTACT.type_id)) == 0


def test_simple_mode_has_no_leads():
    with running(simple_mode=True) as peer:
        assert peer.call("crm.settings.mode.get") == 2
        lead_id = peer.call("crm.lead.add", fields={"TITLE": "Заявка", "OPPORTUNITY": 5})
        assert peer.refused("crm.lead.get", id=lead_id) == (400, "", "Not found")
        assert peer.call("crm.deal.get", id=1)["TITLE"] == "Заявка"


def test_import_makes_stamps_writable(peer):
    stamps = {"NAME": "Анна", "DATE_CREATE": "2020-05-01T10:00:00+03:00", "CREATED_BY_ID": 2}
    imported = peer.call("crm.contact.add", fields=stamps, params={"IMPORT": "Y"})
    plain = peer.call("crm.contact.add", fields=stamps)
    contact = peer.call("crm.contact.get", id=imported)
    assert (contact["DATE_CREATE"], contact["CREATED_BY_ID"]) == ("2020-05-01T10:00:00+03:00", "2")
    assert peer.call("crm.contact.get", id=plain)["CREATED_BY_ID"] == "1"


def test_rows_of_a_deal_and_its_amount(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    rows = sample("crm.deal.productrows.set.request.json")["rows"]
    assert peer.call("crm.deal.productrows.set", id=deal_id, rows=rows) is True
    first, second = peer.call("crm.deal.productrows.get", id=deal_id)
    assert (first["PRICE"], first["QUANTITY"], first["OWNER_TYPE"], first["OWNER_ID"]) == (1000, 10, "D", "1")
    assert first["PRICE_EXCLUSIVE"] == 884.96
    assert (second["PRICE_BRUTTO"], second["DISCOUNT_RATE"], second["TAX_RATE"]) == (555.57, 10, 10)
    assert peer.call("crm.deal.get", id=deal_id)["OPPORTUNITY"] == "12500.00"


def test_amount_typed_by_hand_does_not_follow_the_rows(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x", "OPPORTUNITY": 7, "IS_MANUAL_OPPORTUNITY": "Y"})
    peer.call("crm.deal.productrows.set", id=deal_id, rows=[{"PRODUCT_NAME": "Стол", "PRICE": 10, "QUANTITY": 3}])
    assert peer.call("crm.deal.get", id=deal_id)["OPPORTUNITY"] == "7.00"
    peer.call("crm.deal.update", id=deal_id, fields={"IS_MANUAL_OPPORTUNITY": "N"})
    assert peer.call("crm.deal.get", id=deal_id)["OPPORTUNITY"] == "30.00"


def test_full_discount_needs_its_sum(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    row = {"PRODUCT_NAME": "Стол", "PRICE": 0, "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 100}
    assert peer.refused("crm.deal.productrows.set", id=deal_id, rows=[row])[1] == "ERROR_CORE"


def test_more_than_50_rows_come_at_once(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    rows = [{"PRODUCT_NAME": f"Товар {index}", "PRICE": 1} for index in range(60)]
    peer.call("crm.deal.productrows.set", id=deal_id, rows=rows)
    assert len(peer.call("crm.deal.productrows.get", id=deal_id)) == 60
    page = peer.body("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": deal_id})
    assert (len(page["result"]["productRows"]), page["total"], page["next"]) == (50, 60, 50)


def test_stage_history_knows_created_middle_final_and_pipeline(peer):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    peer.call("crm.deal.update", id=deal_id, fields={"STAGE_ID": "EXECUTING"})
    peer.call("crm.item.update", entityTypeId=2, id=deal_id, fields={"categoryId": 1})
    peer.call("crm.deal.update", id=deal_id, fields={"STAGE_ID": "C1:WON"})
    items = peer.call("crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": deal_id}, order={"ID": "ASC"})[
        "items"
    ]
    assert [(item["TYPE_ID"], item["STAGE_ID"]) for item in items] == [
        (1, "NEW"),
        (2, "EXECUTING"),
        (5, "C1:NEW"),
        (3, "C1:WON"),
    ]
    assert items[0]["OWNER_ID"] == deal_id
