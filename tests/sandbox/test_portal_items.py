"""crm.item.*: typed values, names, multi-fields, no-op updates, smart invoices, product rows."""

from __future__ import annotations

import pytest

from sandbox.portal import PortalSettings
from sandbox.portal.names import user_field_name, user_field_names
from tests.sandbox.portal_peer import FakeClock, running, sample


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


def test_values_of_the_new_family_are_typed(peer):
    company_id = peer.item(4, title="ООО «Ромашка»")["id"]
    deal = peer.item(2, title="Шкаф", opportunity=999.99, companyId=company_id, probability=50)
    assert (deal["id"], deal["opportunity"], deal["companyId"], deal["probability"]) == (1, 999.99, company_id, 50)
    assert (deal["opened"], deal["closed"]) == ("Y", "N")


def test_empty_reference_is_0_in_some_fields_and_null_in_others(peer):
    deal = peer.item(2, title="Шкаф")
    assert (deal["companyId"], deal["contactId"], deal["leadId"], deal["contactIds"]) == (0, 0, None, [])


@pytest.mark.parametrize(
    ("original", "shown"),
    [
        ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
        ("UF_CRM_10_5186744711", "ufCrm10_5186744711"),
        ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
        ("UF_CRM_3_DIGIT_10", "ufCrm_3_DIGIT_10"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_44_1721812760630", "ufCrm44_1721812760630"),
        ("UF_CRM_1C_ID", "ufCrm_1C_ID"),
        ("UF_CRM_HELLO_WORLD", "ufCrmHelloWorld"),
    ],
)
def test_user_field_names_are_converted_by_the_documented_rules(original, shown):
    assert user_field_name(original) == shown


def test_user_field_whose_converted_name_is_taken_keeps_its_upper_case():
    assert user_field_names(["UF_CRM_A_B", "UF_CRM_C"], taken={"ufCrmAB"}) == {
        "UF_CRM_A_B": "UF_CRM_A_B",
        "UF_CRM_C": "ufCrmC",
    }


def test_original_user_field_names_on_request(peer):
    added = peer.item(2, title="x", ufCrm_1C_ID="one")
    assert added["ufCrm_1C_ID"] == "one"
    answer = peer.call("crm.item.get", entityTypeId=2, id=added["id"], useOriginalUfNames="Y")["item"]
    assert (answer["UF_CRM_1C_ID"], "ufCrm_1C_ID" in answer) == ("one", False)
    ask = {"entityTypeId": 2, "useOriginalUfNames": "Y", "select": ["id"]}
    found = peer.call("crm.item.list", filter={"=UF_CRM_1C_ID": "one"}, **ask)["items"]
    assert found == [{"id": added["id"]}]


def test_fields_tell_upper_names(peer):
    fields = peer.call("crm.item.fields", entityTypeId=2)["fields"]
    names = {name: fields[name]["upperName"] for name in ("createdTime", "updatedBy", "stageId", "ufCrm_1C_ID")}
    assert names == {
        "createdTime": "CREATED_TIME",
        "updatedBy": "UPDATED_BY",
        "stageId": "STAGE_ID",
        "ufCrm_1C_ID": "UF_CRM_1C_ID",
    }
    assert fields["ufCrm_1C_ID"]["isDynamic"] is True


def test_old_names_map_to_new_ones(peer):
    lead_id = peer.call("crm.lead.add", fields={"TITLE": "x", "STATUS_ID": "IN_PROCESS"})
    lead = peer.call("crm.item.get", entityTypeId=1, id=lead_id)["item"]
    old = peer.call("crm.lead.get", id=lead_id)
    assert (lead["stageId"], lead["stageSemanticId"]) == ("IN_PROCESS", "P")
    assert (lead["createdTime"], lead["updatedBy"]) == (old["DATE_CREATE"], 1)
    company_id = peer.call("crm.company.add", fields={"TITLE": "x", "COMPANY_TYPE": "CUSTOMER"})
    assert peer.call("crm.item.get", entityTypeId=4, id=company_id)["item"]["typeId"] == "CUSTOMER"


class TestMultifields:
    @pytest.fixture
    def contact(self, peer):
        entries = [
            {"typeId": "PHONE", "valueType": "WORK", "value": "111"},
            {"typeId": "EMAIL", "valueType": "HOME", "value": "a@example.com"},
        ]
        return peer.item(3, name="Анна", fm=entries)

    def change(self, peer, fm):
        answer = peer.call("crm.item.update", entityTypeId=3, id=1, fields={"fm": fm})["item"]
        return [(entry["id"], entry["typeId"], entry["valueType"], entry["value"]) for entry in answer["fm"]]

    def test_add_takes_an_array(self, contact):
        assert [entry["id"] for entry in contact["fm"]] == [1, 2]
        assert (contact["phone"], contact["phoneWork"], contact["emailHome"]) == ("111", "111", "a@example.com")

    def test_object_adds_changes_and_deletes_by_key(self, peer, contact):
        changed = self.change(
            peer,
            {
                "n0": {"typeId": "PHONE", "valueType": "MOBILE", "value": "333"},
                "1": {"typeId": "PHONE", "valueType": "HOME", "value": "999"},
                "2": {"typeId": "EMAIL", "value": ""},
            },
        )
        assert changed == [(1, "PHONE", "HOME", "999"), (3, "PHONE", "MOBILE", "333")]

    def test_without_type_id_the_call_succeeds_and_does_nothing(self, peer, contact):
        unchanged = self.change(peer, {"n0": {"valueType": "WORK", "value": "333"}, "1": {"value": ""}})
        assert [entry[0] for entry in unchanged] == [1, 2]

    def test_unknown_id_makes_a_new_entry(self, peer, contact):
        assert (3, "PHONE", "WORK", "333") in self.change(peer, {"777": {"typeId": "PHONE", "value": "333"}})

    def test_array_on_update_appends(self, peer, contact):
        assert len(self.change(peer, [{"typeId": "PHONE", "value": "333"}])) == 3

    def test_text_is_ignored(self, peer, contact):
        assert len(self.change(peer, "333")) == 2

    def test_fm_comes_in_lists_only_with_the_star(self, peer, contact):
        ask = {"entityTypeId": 3, "filter": {"id": 1}}
        assert "fm" not in peer.call("crm.item.list", select=["id", "fm"], **ask)["items"][0]
        assert len(peer.call("crm.item.list", select=["*"], **ask)["items"][0]["fm"]) == 2


def test_no_op_update_moves_no_stamp_and_fires_no_event():
    clock = FakeClock()
    with running(clock=clock) as peer:
        deal = peer.item(2, title="Шкаф", opportunity=5)
        before = len(peer.fired())
        clock.pass_seconds(60)
        same = peer.call("crm.item.update", entityTypeId=2, id=1, fields={"title": "Шкаф", "opportunity": "5.00"})
        assert same["item"]["updatedTime"] == deal["updatedTime"]
        assert peer.fired()[before:] == []
        other = peer.call("crm.item.update", entityTypeId=2, id=1, fields={"title": "Стол"})["item"]
        assert other["updatedTime"] > deal["updatedTime"]
        assert peer.fired()[before:] == ["ONCRMDEALUPDATE"]


def test_category_id_moves_a_deal_to_the_first_stage_of_the_other_pipeline(peer):
    peer.item(2, title="Шкаф", stageId="EXECUTING")
    moved = peer.call("crm.item.update", entityTypeId=2, id=1, fields={"categoryId": 1})["item"]
    assert (moved["categoryId"], moved["stageId"]) == (1, "C1:NEW")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entityTypeId": 5}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 4444}, "NOT_FOUND"),
        ({}, "100"),
    ],
)
def test_unknown_types_are_refused(peer, params, code):
    status, error, _description = peer.refused("crm.item.list", **params)
    assert (status, error) == (400, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"stageId": "C1:NEW", "categoryId": 0}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
        ({"opportunity": "many"}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
        ({"begindate": "some day"}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
        ({"categoryId": 77}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
    ],
)
def test_invalid_values_are_refused(peer, fields, code):
    assert peer.refused("crm.item.add", entityTypeId=2, fields=fields)[:2] == (400, code)
    assert len(peer.portal.store.table(2)) == 0


def test_contact_may_not_end_up_without_any_name(peer):
    peer.item(3, name="Анна")
    answer = peer.refused("crm.item.update", entityTypeId=3, id=1, fields={"name": ""})
    assert answer[:2] == (400, "CRM_FIELD_ERROR_REQUIRED")
    assert peer.call("crm.contact.get", id=1)["NAME"] == "Анна"


def test_field_is_required_from_a_stage_on_but_not_of_who_gives_up():
    with running(required_from_stage={"EXECUTING": ("COMMENTS",)}) as peer:
        peer.item(2, title="Шкаф")
        peer.call("crm.item.update", entityTypeId=2, id=1, fields={"stageId": "PREPARATION"})
        for stage in ("EXECUTING", "FINAL_INVOICE", "WON"):
            answer = peer.refused("crm.item.update", entityTypeId=2, id=1, fields={"stageId": stage})
            assert answer == (400, "CRM_FIELD_ERROR_REQUIRED", 'The "Comments" field is required')
        peer.call("crm.item.update", entityTypeId=2, id=1, fields={"stageId": "LOSE"})
        told = peer.call("crm.item.update", entityTypeId=2, id=1, fields={"stageId": "WON", "comments": "x"})
        assert told["item"]["stageId"] == "WON"


def test_stage_of_another_pipeline_is_ignored_by_portals_that_do():
    with running(foreign_stage="ignored") as peer:
        peer.item(2, title="Шкаф", stageId="EXECUTING")
        for stage in ("C1:WON", "NO_SUCH_STAGE"):
            told = peer.call("crm.item.update", entityTypeId=2, id=1, fields={"stageId": stage, "title": stage})
            assert (told["item"]["stageId"], told["item"]["title"]) == ("EXECUTING", stage)
        assert peer.item(2, title="x", stageId="NO_SUCH_STAGE")["stageId"] == "NEW"


def test_habit_with_foreign_stages_that_is_none_is_refused():
    with pytest.raises(ValueError, match="foreign_stage"):
        PortalSettings(foreign_stage="shrugged")


def test_mandatory_user_field_is_checked_when_a_record_is_made_and_when_it_is_emptied(peer):
    declared = {"USER_TYPE_ID": "string", "FIELD_NAME": "REGION", "MANDATORY": "Y"}
    peer.call("crm.company.userfield.add", fields=declared)
    answer = peer.refused("crm.item.add", entityTypeId=4, fields={"title": "x"})
    assert answer == (400, "CRM_FIELD_ERROR_REQUIRED", 'The "UF_CRM_REGION" field is required')
    assert peer.refused("crm.company.add", fields={"TITLE": "x"})[1] == "ERROR_CORE"
    company_id = peer.call("crm.company.add", fields={"TITLE": "x", "UF_CRM_REGION": "77"})
    peer.call("crm.company.update", id=company_id, fields={"TITLE": "y"})
    assert peer.refused("crm.company.update", id=company_id, fields={"UF_CRM_REGION": ""})[1] == "ERROR_CORE"


def test_stage_change_is_refused_for_unfilled_required_fields():
    with running(required_at_stage={"WON": ("COMPANY_ID",)}) as peer:
        peer.item(2, title="Шкаф")
        answer = peer.refused("crm.item.update", entityTypeId=2, id=1, fields={"stageId": "WON"})
        assert answer[:2] == (400, "CRM_FIELD_ERROR_REQUIRED")
        company_id = peer.item(4, title="ООО")["id"]
        fields = {"companyId": company_id, "stageId": "WON"}
        assert peer.call("crm.item.update", entityTypeId=2, id=1, fields=fields)["item"]["closed"] == "Y"


def test_delete_answers_an_empty_list(peer):
    peer.item(2, title="Шкаф")
    assert peer.call("crm.item.delete", entityTypeId=2, id=1) == []


def test_contact_ids_are_shown_and_filtered(peer):
    contacts = [peer.item(3, name=name)["id"] for name in ("Анна", "Вера")]
    deal = peer.item(2, title="x", contactIds=contacts)
    assert (deal["contactIds"], deal["contactId"]) == (contacts, contacts[0])
    found = peer.call("crm.item.list", entityTypeId=2, filter={"@contactIds": [contacts[1]]}, select=["id"])["items"]
    assert found == [{"id": deal["id"]}]


def test_contacts_of_a_company_are_seen_from_both_sides(peer):
    company_id = peer.item(4, title="ООО")["id"]
    contacts = [peer.call("crm.contact.add", fields={"NAME": name, "COMPANY_ID": company_id}) for name in "АБ"]
    assert peer.call("crm.item.get", entityTypeId=4, id=company_id)["item"]["contactIds"] == contacts
    peer.call("crm.item.update", entityTypeId=4, id=company_id, fields={"contactIds": contacts[1:]})
    assert peer.call("crm.contact.get", id=contacts[0])["COMPANY_ID"] is None
    assert peer.call("crm.contact.get", id=contacts[1])["COMPANY_ID"] == str(company_id)


class TestSmartInvoices:
    def test_new_invoice_gets_number_stage_category_seller_and_dates(self, peer):
        deal = peer.item(2, title="Шкаф")
        invoice = peer.item(31, title="Счёт 1", parentId2=deal["id"], xmlId="ref-1", ufCrm_1C_ID="ref-1")
        assert (invoice["stageId"], invoice["categoryId"], invoice["parentId2"]) == ("DT31_5:N", 5, deal["id"])
        assert (invoice["accountNumber"], invoice["mycompanyId"]) == ("1", 1)
        assert invoice["closedate"] > invoice["begindate"]
        found = peer.call("crm.item.list", entityTypeId=31, filter={"=xmlId": "ref-1"}, select=["id", "parentId2"])
        assert found["items"] == [{"id": invoice["id"], "parentId2": deal["id"]}]

    def test_account_number_is_assigned_by_the_portal(self, peer):
        assert peer.item(31, title="x", accountNumber="УТ-17")["accountNumber"] == "1"

    def test_repeated_add_makes_a_second_invoice(self, peer):
        assert [peer.item(31, title="x", xmlId="same")["id"] for _ in range(2)] == [1, 2]

    def test_rows_make_the_amount_unless_it_is_typed_by_hand(self, peer):
        computed, typed = peer.item(31, title="a"), peer.item(31, title="b", isManualOpportunity="Y", opportunity=7)
        for invoice in (computed, typed):
            rows = [{"productName": "Стол", "price": 100, "quantity": 3}]
            peer.call("crm.item.productrow.set", ownerType="SI", ownerId=invoice["id"], productRows=rows)
        amounts = [
            peer.call("crm.item.get", entityTypeId=31, id=one["id"])["item"]["opportunity"] for one in (computed, typed)
        ]
        assert amounts == [300, 7]

    def test_stage_change_keeps_the_previous_stage(self, peer):
        peer.item(31, title="x")
        paid = peer.call("crm.item.update", entityTypeId=31, id=1, fields={"stageId": "DT31_5:P"})["item"]
        assert (paid["stageId"], paid["previousStageId"]) == ("DT31_5:P", "DT31_5:N")
        events = [(fired.event, fired.data) for fired in peer.portal.events.log]
        assert events[-1] == ("ONCRMDYNAMICITEMUPDATE", {"FIELDS": {"ID": "1", "ENTITY_TYPE_ID": "31"}})

    def test_user_field_is_declared_by_userfieldconfig(self):
        with running() as peer:
            field = {"entityId": "CRM_SMART_INVOICE", "fieldName": "UF_CRM_1C_ID", "userTypeId": "string"}
            added = peer.call("userfieldconfig.add", moduleId="crm", field=field)["field"]
            assert set(added) <= set(sample("userfieldconfig.add.response.json")["result"]["field"])
            assert peer.item(31, title="x", ufCrm_1C_ID="ref")["ufCrm_1C_ID"] == "ref"
            listed = peer.call("userfieldconfig.list", moduleId="crm", filter={"entityId": "CRM_SMART_INVOICE"})
            assert [one["fieldName"] for one in listed["fields"]] == ["UF_CRM_1C_ID"]


class TestProductRows:
    @pytest.mark.parametrize("name", ["crm.item.productrow.add", "crm.item.productrow.update"])
    def test_prices_follow_the_documented_examples(self, peer, name):
        documented = sample(f"{name}.response.json")["result"]["productRow"]
        peer.item(2, title="x")
        asked = ("productId", "price", "quantity", "discountTypeId", "discountRate", "taxRate", "taxIncluded", "sort")
        fields = {key: documented[key] for key in asked} | {"ownerId": 1, "ownerType": "D"}
        row = peer.call("crm.item.productrow.add", fields=fields)["productRow"]
        compared = ("price", "priceAccount", "priceExclusive", "priceNetto", "priceBrutto", "discountSum", "taxRate")
        assert {key: row[key] for key in compared} == {key: documented[key] for key in compared}

    def test_owner_keys_need_their_equals_sign(self, peer):
        peer.item(2, title="x")
        filter_ = {"ownerType": "D", "ownerId": 1}
        assert peer.refused("crm.item.productrow.list", filter=filter_)[:2] == (400, "INVALID_ARG_VALUE")

    def test_owner_must_exist(self, peer):
        answer = peer.refused("crm.item.productrow.set", ownerType="D", ownerId=77, productRows=[])
        assert answer == (400, "OWNER_NOT_FOUND", "Owner was not found")

    def test_set_replaces_all_rows_and_the_same_rows_fire_nothing(self, peer):
        peer.item(2, title="x")
        rows = [{"productName": "Стол", "price": 5}, {"productName": "Стул", "price": 6}]
        peer.call("crm.item.productrow.set", ownerType="D", ownerId=1, productRows=rows)
        kept = peer.call("crm.item.productrow.set", ownerType="D", ownerId=1, productRows=rows[:1])["productRows"]
        before = len(peer.fired())
        again = [{"id": kept[0]["id"], "productName": "Стол", "price": 5}]
        peer.call("crm.item.productrow.set", ownerType="D", ownerId=1, productRows=again)
        assert [row["productName"] for row in kept] == ["Стол"]
        assert peer.fired()[before:] == []

    def test_add_update_get_delete(self, peer):
        peer.item(2, title="x")
        fields = {"ownerType": "D", "ownerId": 1, "productName": "Стол", "price": 5}
        row_id = peer.call("crm.item.productrow.add", fields=fields)["productRow"]["id"]
        peer.call("crm.item.productrow.update", id=row_id, fields={"price": 8})
        assert peer.call("crm.item.productrow.get", id=row_id)["productRow"]["price"] == 8
        assert peer.call("crm.deal.get", id=1)["OPPORTUNITY"] == "8.00"
        assert peer.call("crm.item.productrow.delete", id=row_id) is None
        assert peer.refused("crm.item.productrow.get", id=row_id)[1] == "NOT_FOUND"
