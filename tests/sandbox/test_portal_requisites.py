"""Requisites, addresses, duplicates, directories, users, the timeline, old invoices."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running, sample


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


@pytest.fixture
def company_id(peer):
    return peer.call("crm.company.add", fields={"TITLE": "ООО «Ромашка»"})


@pytest.fixture
def requisite_id(peer, company_id):
    fields = sample("crm.requisite.add.request.json")["fields"] | {"ENTITY_ID": company_id, "RQ_INN": "7700000000"}
    return peer.call("crm.requisite.add", fields=fields)


def test_company_is_found_by_inn_through_its_requisite(peer, company_id, requisite_id):
    found = peer.call("crm.requisite.list", filter={"ENTITY_TYPE_ID": 4, "RQ_INN": "7700000000"}, select=["ENTITY_ID"])
    assert found == [{"ENTITY_ID": str(company_id)}]
    assert peer.call("crm.requisite.list", filter={"RQ_INN": "7700000001"}) == []


def test_requisite_date_modify_is_blank_until_the_first_change(peer, requisite_id):
    fresh = peer.call("crm.requisite.get", id=requisite_id)
    assert (fresh["DATE_MODIFY"], fresh["MODIFY_BY_ID"]) == ("", None)
    assert peer.call("crm.requisite.update", id=requisite_id, fields={"RQ_KPP": "770001001"}) is True
    changed = peer.call("crm.requisite.get", id=requisite_id)
    assert (changed["RQ_KPP"], changed["MODIFY_BY_ID"]) == ("770001001", "1")
    assert changed["DATE_MODIFY"]


def test_owner_and_preset_of_a_requisite_are_immutable(peer, company_id, requisite_id):
    assert peer.call("crm.requisite.fields")["PRESET_ID"]["isImmutable"] is True
    peer.call("crm.requisite.update", id=requisite_id, fields={"PRESET_ID": 5, "ENTITY_ID": 77})
    requisite = peer.call("crm.requisite.get", id=requisite_id)
    assert (requisite["PRESET_ID"], requisite["ENTITY_ID"]) == ("1", str(company_id))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ENTITY_TYPE_ID": 2}, "ENTITY_TYPE_ID is not defined or invalid."),
        ({"ENTITY_ID": 0}, "ENTITY_ID is not defined or invalid."),
        ({"ENTITY_ID": 77}, "Entity not found."),
        ({"PRESET_ID": 77}, "PRESET_ID is not defined or invalid."),
    ],
)
def test_requisite_needs_its_owner_and_preset(peer, company_id, wrong, told):
    fields = {"ENTITY_TYPE_ID": 4, "ENTITY_ID": company_id, "PRESET_ID": 1, "NAME": "x"} | wrong
    assert peer.refused("crm.requisite.add", fields=fields) == (400, "", told)


def test_presets_are_known_by_their_stable_xml_ids(peer):
    presets = peer.call("crm.requisite.preset.list", select=["ID", "NAME", "XML_ID"], order={"ID": "ASC"})
    assert [(preset["ID"], preset["NAME"]) for preset in presets] == [
        ("1", "Организация"),
        ("3", "ИП"),
        ("5", "Физ. лицо"),
    ]
    assert all(preset["XML_ID"].startswith("#CRM_REQUISITE_PRESET_DEF_") for preset in presets)


def test_requisites_of_a_deal_are_chosen_by_a_link(peer, requisite_id):
    deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
    link = {"ENTITY_TYPE_ID": 2, "ENTITY_ID": deal_id, "REQUISITE_ID": requisite_id}
    assert peer.call("crm.requisite.link.register", fields=link) is True
    got = peer.call("crm.requisite.link.get", entityTypeId=2, entityId=deal_id)
    assert set(got) == set(sample("crm.requisite.link.get.response.json")["result"])
    assert (got["ENTITY_ID"], got["REQUISITE_ID"], got["BANK_DETAIL_ID"]) == (deal_id, str(requisite_id), "0")
    missing = link | {"ENTITY_ID": 77}
    assert peer.refused("crm.requisite.link.register", fields=missing) == (400, "", "Entity is not found")


def test_bank_details_hang_on_a_requisite(peer, requisite_id):
    fields = {"ENTITY_ID": requisite_id, "NAME": "Счёт", "RQ_BIK": "044525225"}
    detail_id = peer.call("crm.requisite.bankdetail.add", fields=fields)
    assert peer.call("crm.requisite.bankdetail.get", id=detail_id)["RQ_BIK"] == "044525225"
    assert peer.refused("crm.requisite.bankdetail.add", fields={"ENTITY_ID": 77, "NAME": "x"})[2].startswith(
        "ENTITY_ID"
    )


class TestAddresses:
    @pytest.fixture
    def key(self, requisite_id):
        return {"TYPE_ID": 6, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite_id}

    def test_there_is_no_upsert(self, peer, key):
        address = key | {"ADDRESS_1": "ул. Ленина, 1"}
        assert peer.refused("crm.address.update", fields=address) == (400, "", "TypeAddress not found")
        assert peer.call("crm.address.add", fields=address) is True
        assert peer.refused("crm.address.add", fields=address) == (400, "", "TypeAddress exists")

    def test_anchor_names_the_owner_behind_the_requisite(self, peer, key, company_id):
        peer.call("crm.address.add", fields=key | {"ADDRESS_1": "ул. Ленина, 1"})
        address = peer.call("crm.address.list", filter=key)[0]
        assert set(address) == set(sample("crm.address.list.response.json")["result"][0])
        assert (address["ANCHOR_TYPE_ID"], address["ANCHOR_ID"]) == ("4", str(company_id))

    def test_as_soon_as_one_text_is_sent_only_the_sent_ones_remain(self, peer, key):
        peer.call("crm.address.add", fields=key | {"ADDRESS_1": "ул. Ленина, 1", "CITY": "Тула"})
        peer.call("crm.address.update", fields=key | {"CITY": "Москва"})
        address = peer.call("crm.address.list", filter=key)[0]
        assert (address["ADDRESS_1"], address["CITY"]) == (None, "Москва")

    def test_parent_is_a_requisite_or_a_lead(self, peer, company_id):
        address = {"TYPE_ID": 6, "ENTITY_TYPE_ID": 4, "ENTITY_ID": company_id, "CITY": "Тула"}
        assert peer.refused("crm.address.add", fields=address)[2] == "ENTITY_TYPE_ID is not defined or invalid."

    def test_deleted_owner_takes_requisites_and_addresses_with_it(self, peer, key, company_id, requisite_id):
        peer.call("crm.address.add", fields=key | {"CITY": "Тула"})
        peer.call("crm.company.delete", id=company_id)
        assert peer.refused("crm.requisite.get", id=requisite_id)[0] == 400
        assert peer.call("crm.address.list", filter=key) == []


class TestDuplicates:
    def test_found_are_numbers_by_kind_and_nobody_is_an_empty_list(self, peer):
        email = [{"VALUE": "Anna@example.com"}]
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна", "EMAIL": email})
        lead_id = peer.call("crm.lead.add", fields={"TITLE": "x", "EMAIL": email})
        ask = {"type": "EMAIL", "values": ["anna@example.com"]}
        assert peer.call("crm.duplicate.findbycomm", **ask) == {"LEAD": [lead_id], "CONTACT": [contact_id]}
        assert peer.call("crm.duplicate.findbycomm", entity_type="CONTACT", **ask) == {"CONTACT": [contact_id]}
        assert peer.call("crm.duplicate.findbycomm", entity_type="COMPANY", **ask) == []

    def test_phones_compare_by_digits_without_extension_and_follow_changes(self, peer):
        contact_id = peer.call("crm.contact.add", fields={"NAME": "А", "PHONE": [{"VALUE": "+7 (900) 111-22-33"}]})
        ask = {"type": "PHONE", "values": ["79001112233 доб. 5"]}
        assert peer.call("crm.duplicate.findbycomm", **ask) == {"CONTACT": [contact_id]}
        peer.call("crm.contact.update", id=contact_id, fields={"PHONE": [{"ID": 1, "VALUE": "5"}]})
        assert peer.call("crm.duplicate.findbycomm", **ask) == []

    def test_only_the_first_20_values_are_looked_at(self, peer):
        peer.call("crm.contact.add", fields={"NAME": "А", "EMAIL": [{"VALUE": "a@example.com"}]})
        values = [f"nobody{index}@example.com" for index in range(20)] + ["a@example.com"]
        assert peer.call("crm.duplicate.findbycomm", type="EMAIL", values=values) == []


def test_stages_by_directory(peer):
    listed = peer.body("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"}, order={"SORT": "ASC"})
    documented = sample("crm.status.list.response.json")["result"]
    assert [stage["STATUS_ID"] for stage in listed["result"]] == [stage["STATUS_ID"] for stage in documented]
    assert [stage["SEMANTICS"] for stage in listed["result"]] == [stage["SEMANTICS"] for stage in documented]
    assert listed["total"] == 8
    opt = peer.call("crm.status.entity.items", entityId="DEAL_STAGE_1")
    assert opt[0]["STATUS_ID"] == "C1:NEW"


def test_extra_semantics_exist_for_leads_and_deals_only(peer):
    def has_extra(directory):
        return ["EXTRA" in stage for stage in peer.call("crm.status.list", filter={"ENTITY_ID": directory})]

    assert all(has_extra("STATUS"))
    invoice_stages = peer.call("crm.status.list", filter={"ENTITY_ID": "SMART_INVOICE_STAGE_5"})
    assert [stage["STATUS_ID"] for stage in invoice_stages] == ["DT31_5:N", "DT31_5:S", "DT31_5:P", "DT31_5:D"]
    assert [stage["SEMANTICS"] for stage in invoice_stages] == [None, None, "S", "F"]
    assert not any(has_extra("SMART_INVOICE_STAGE_5"))


def test_main_pipeline_has_id_0(peer):
    categories = peer.call("crm.category.list", entityTypeId=2)["categories"]
    assert {(one["id"], one["isDefault"]) for one in categories} == {(0, "Y"), (1, "N")}
    assert [one["id"] for one in peer.call("crm.category.list", entityTypeId=31)["categories"]] == [5]
    assert peer.refused("crm.category.list", entityTypeId=4444)[1] == "NOT_FOUND"


def test_entity_types_name_the_stages_of_each_pipeline(peer):
    types = {one["ID"]: one for one in peer.call("crm.status.entity.types")}
    assert types["DEAL_STAGE_1"]["PREFIX"] == "C1"
    assert types["SMART_INVOICE_STAGE_5"]["SEMANTIC_INFO"] == []


def test_users_have_string_ids_and_boolean_active(peer):
    found = peer.call("user.get", FILTER={"EMAIL": "manager@example.com"})
    assert [(user["ID"], user["ACTIVE"], user["NAME"]) for user in found] == [("2", True, "Мария")]
    assert [user["ID"] for user in peer.call("user.get", LAST_NAME="Менедж%")] == ["2"]
    assert [user["ID"] for user in peer.call("user.get", filter={"ACTIVE": True}, SORT="ID", ORDER="desc")] == [
        "2",
        "1",
    ]
    assert peer.call("user.current")["ID"] == "1"
    assert peer.of_manager("user.current").json()["result"]["EMAIL"] == "manager@example.com"


class TestTimeline:
    def test_comment_is_written_read_and_listed(self, peer):
        deal_id = peer.call("crm.deal.add", fields={"TITLE": "x"})
        fields = {"ENTITY_ID": deal_id, "ENTITY_TYPE": "deal", "COMMENT": "Заказ УТ-1"}
        comment_id = peer.call("crm.timeline.comment.add", fields=fields)
        told = peer.call("crm.timeline.comment.get", id=comment_id)
        assert set(told) == set(sample("crm.timeline.comment.get.response.json")["result"])
        filter_ = {"ENTITY_ID": deal_id, "ENTITY_TYPE": "deal"}
        assert [one["COMMENT"] for one in peer.call("crm.timeline.comment.list", filter=filter_)] == ["Заказ УТ-1"]

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"ENTITY_ID": 77, "ENTITY_TYPE": "deal", "COMMENT": "x"}, "OWNER_NOT_FOUND"),
            ({"ENTITY_ID": 1, "ENTITY_TYPE": "DEAL", "COMMENT": "x"}, "OWNER_NOT_FOUND"),
            ({"ENTITY_ID": 1, "ENTITY_TYPE": "deal", "COMMENT": " "}, "INVALID_ARG_VALUE"),
        ],
    )
    def test_owner_and_text_are_checked(self, peer, fields, code):
        peer.call("crm.deal.add", fields={"TITLE": "x"})
        assert peer.refused("crm.timeline.comment.add", fields=fields)[:2] == (400, code)

    def test_only_lower_case_fields_are_read(self, peer):
        fields = {"ENTITY_ID": 1, "ENTITY_TYPE": "deal", "COMMENT": "x"}
        assert peer.refused("crm.timeline.comment.add", FIELDS=fields)[:2] == (400, "100")

    def test_smart_invoices_are_commented_as_dynamic_31(self, peer):
        peer.item(31, title="x")
        fields = {"ENTITY_ID": 1, "ENTITY_TYPE": "dynamic_31", "COMMENT": "x"}
        assert peer.call("crm.timeline.comment.add", fields=fields) == 1


class TestOldInvoices:
    @pytest.fixture
    def invoice_id(self, peer, company_id):
        fields = sample("crm.invoice.add.request.json")["fields"]
        return peer.call(
            "crm.invoice.add",
            fields=fields
            | {"UF_COMPANY_ID": company_id, "STATUS_ID": "N", "ACCOUNT_NUMBER": "УТ-1", "UF_CRM_1C_ID": "r"},
        )

    def test_get_has_rows_and_properties_that_lists_have_not(self, peer, invoice_id):
        invoice = peer.call("crm.invoice.get", id=invoice_id)
        assert (invoice["ACCOUNT_NUMBER"], invoice["PRICE"], invoice["PAYED"]) == ("УТ-1", "218.00", "N")
        assert [row["PRODUCT_NAME"] for row in invoice["PRODUCT_ROWS"]] == ["Product 01", "Product 77"]
        assert invoice["INVOICE_PROPERTIES"]["COMPANY"] == "Example LLC"
        listed = peer.call("crm.invoice.list", filter={"UF_CRM_1C_ID": "r"})[0]
        assert {"PRODUCT_ROWS", "INVOICE_PROPERTIES"}.isdisjoint(listed)

    def test_paying_fires_update_and_set_status(self, peer, invoice_id):
        before = len(peer.fired())
        paid = {"STATUS_ID": "P", "PAY_VOUCHER_NUM": "12"}
        assert peer.call("crm.invoice.update", id=invoice_id, fields=paid) is True
        assert peer.call("crm.invoice.get", id=invoice_id)["PAYED"] == "Y"
        assert peer.fired()[before:] == ["ONCRMINVOICEUPDATE", "ONCRMINVOICESETSTATUS"]

    def test_rows_are_replaced_and_price_follows(self, peer, invoice_id):
        rows = [{"ID": 0, "PRODUCT_NAME": "Стол", "PRICE": 120, "QUANTITY": 2, "VAT_RATE": 0.2}]
        peer.call("crm.invoice.update", id=invoice_id, fields={"PRODUCT_ROWS": rows})
        invoice = peer.call("crm.invoice.get", id=invoice_id)
        assert (invoice["PRICE"], invoice["TAX_VALUE"], len(invoice["PRODUCT_ROWS"])) == ("240.00", "40.00", 1)

    @pytest.mark.parametrize("missing", ["ORDER_TOPIC", "STATUS_ID", "PERSON_TYPE_ID", "PAY_SYSTEM_ID", "PRODUCT_ROWS"])
    def test_required_fields(self, peer, missing):
        fields = {
            key: value for key, value in sample("crm.invoice.add.request.json")["fields"].items() if key != missing
        }
        status, code, description = peer.refused("crm.invoice.add", fields=fields)
        assert (status, code) == (400, "ERROR_CORE")
        assert missing in description

    def test_delete(self, peer, invoice_id):
        assert peer.call("crm.invoice.delete", id=invoice_id) is True
        assert peer.refused("crm.invoice.get", id=invoice_id) == (400, "", "Not found")
