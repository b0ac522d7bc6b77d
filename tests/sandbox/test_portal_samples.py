"""Answers have the keys and types of the documented samples."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running, sample

ENVELOPE = {"start", "finish", "duration", "processing", "date_start", "date_finish"}
# user fields and smart processes differ from portal to portal
PORTAL_OWN = ("UF_", "PARENT_ID_", "ufCrm", "parentId")
# a sample was made with an open line's chat, which this portal has not
NOT_HERE = {"IM"}


@pytest.fixture(scope="module")
def peer():
    with running(with_user_fields=True) as peer:
        fill(peer)
        yield peer


def fill(peer):
    """One of everything, like the records that the samples show."""
    both = {"PHONE": [{"VALUE": "+7 900"}], "EMAIL": [{"VALUE": "a@example.com"}]}
    company_id = peer.call("crm.company.add", fields={"TITLE": "ООО"})
    peer.call("crm.contact.add", fields={"NAME": "Анна", "COMPANY_ID": company_id, "BIRTHDATE": "11.11.2001"} | both)
    peer.call("crm.lead.add", fields={"TITLE": "Заявка", "PHONE": both["PHONE"], "OPPORTUNITY": 999.9})
    deal = {"TITLE": "Мебель", "CONTACT_IDS": [1], "OPPORTUNITY": 1000000, "COMPANY_ID": company_id}
    peer.call("crm.deal.add", fields=deal)
    peer.item(2, title="Мебель", companyId=company_id)
    peer.call("crm.deal.productrows.set", id=1, rows=[{"PRODUCT_NAME": "Стол", "PRICE": 899.1, "DISCOUNT_RATE": 10}])
    fields = sample("crm.requisite.add.request.json")["fields"] | {"ENTITY_ID": company_id}
    requisite_id = peer.call("crm.requisite.add", fields=fields)
    address = {
        "TYPE_ID": 6,
        "ENTITY_TYPE_ID": 8,
        "ENTITY_ID": requisite_id,
        "ADDRESS_1": "ул. Ленина",
        "LOC_ADDR_ID": 9,
    }
    peer.call("crm.address.add", fields=address)
    peer.call("crm.requisite.bankdetail.add", fields={"ENTITY_ID": requisite_id, "NAME": "Счёт"})
    peer.call("crm.timeline.comment.add", fields={"ENTITY_ID": 1, "ENTITY_TYPE": "deal", "COMMENT": "x"})


def common_keys(record):
    return {key for key in record if not key.startswith(PORTAL_OWN)} - NOT_HERE


def shape(value):
    """A value's type; numbers are one type, and what is nothing fits anything."""
    if value is None or value in ("", [], {}):
        return None
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def assert_alike(ours, documented):
    """The same keys; and for what is filled in both, the same types."""
    assert common_keys(ours) == common_keys(documented)
    differ = {
        key: (ours[key], documented[key])
        for key in common_keys(documented)
        if None not in (shape(ours[key]), shape(documented[key])) and shape(ours[key]) != shape(documented[key])
    }
    assert differ == {}


@pytest.mark.parametrize(
    ("name", "method", "params"),
    [
        ("crm.contact.get", "crm.contact.get", {"id": 1}),
        ("crm.company.get", "crm.company.get", {"id": 2}),
        ("crm.lead.get", "crm.lead.get", {"id": 1}),
        ("crm.deal.get", "crm.deal.get", {"id": 1}),
        ("crm.requisite.get", "crm.requisite.get", {"id": 1}),
        ("crm.requisite.preset.get", "crm.requisite.preset.get", {"id": 1}),
        ("crm.requisite.bankdetail.get", "crm.requisite.bankdetail.get", {"id": 1}),
        ("crm.timeline.comment.get", "crm.timeline.comment.get", {"id": 1}),
        ("profile", "profile", {}),
        ("method.get", "method.get", {"name": "user.get"}),
        ("feature.get", "feature.get", {"CODE": "rest_offline_extended"}),
    ],
)
def test_object(peer, name, method, params):
    assert_alike(peer.call(method, **params), sample(f"{name}.response.json")["result"])


@pytest.mark.parametrize(
    ("name", "method", "params"),
    [
        ("crm.address.list", "crm.address.list", {}),
        ("crm.status.list", "crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}}),
        ("crm.status.entity.items", "crm.status.entity.items", {"entityId": "DEAL_STAGE"}),
        ("crm.deal.productrows.get", "crm.deal.productrows.get", {"id": 1}),
        ("crm.contact.company.items.get", "crm.contact.company.items.get", {"id": 1}),
        ("crm.deal.contact.items.get", "crm.deal.contact.items.get", {"id": 1}),
        ("user.get", "user.get", {}),
        ("crm.enum.addresstype", "crm.enum.addresstype", {}),
        ("crm.currency.list", "crm.currency.list", {}),
        ("crm.contact.userfield.list", "crm.contact.userfield.list", {"filter": {"LANG": "ru"}}),
    ],
)
def test_list(peer, name, method, params):
    documented, ours = sample(f"{name}.response.json"), peer.body(method, **params)
    assert ("total" in ours) == ("total" in documented)
    assert_alike(ours["result"][0], documented["result"][0])


@pytest.mark.parametrize(
    ("name", "method", "params", "path"),
    [
        ("crm.item.get", "crm.item.get", {"entityTypeId": 1, "id": 1}, ("item",)),
        ("crm.item.add", "crm.item.get", {"entityTypeId": 2, "id": 2}, ("item",)),
        (
            "crm.item.productrow.add",
            "crm.item.productrow.add",
            {"fields": {"ownerType": "D", "ownerId": 2, "productId": 9621, "price": 80000}},
            ("productRow",),
        ),
        ("crm.category.list", "crm.category.list", {"entityTypeId": 2}, ("categories", 0)),
        ("crm.stagehistory.list", "crm.stagehistory.list", {"entityTypeId": 2}, ("items", 0)),
    ],
)
def test_wrapped(peer, name, method, params, path):
    documented, ours = sample(f"{name}.response.json")["result"], peer.call(method, **params)
    assert set(ours) == set(documented)
    for step in path:
        ours, documented = ours[step], documented[step]
    if name == "crm.item.productrow.add":
        ours = {key: value for key, value in ours.items() if key != "storeId"}  # the sample of .list has it
    assert_alike(ours, documented)


@pytest.mark.parametrize(
    ("name", "params"), [("crm.contact.fields", {}), ("crm.deal.fields", {}), ("crm.item.fields", {"entityTypeId": 31})]
)
def test_field_descriptions(peer, name, params):
    documented, ours = sample(f"{name}.response.json")["result"], peer.call(name, **params)
    documented, ours = documented.get("fields", documented), ours.get("fields", ours)
    alike = {key: one for key, one in documented.items() if not key.startswith(PORTAL_OWN)}
    absent = {"contacts"}  # the sample is of a smart process; what it has beyond invoices
    assert set(alike) - absent <= set(ours)
    for key in set(alike) - absent:
        assert ours[key]["type"] == alike[key]["type"] or {ours[key]["type"], alike[key]["type"]} == {"string", "text"}
        assert ours[key].get("upperName") == alike[key].get("upperName")
        assert {"isRequired", "isReadOnly", "isImmutable", "isMultiple", "isDynamic", "title"} <= set(ours[key])


@pytest.mark.parametrize("name", ["crm.contact.get", "crm.deal.get", "crm.item.get", "crm.address.list"])
def test_envelope_has_the_documented_time(peer, name):
    params = {"crm.item.get": {"entityTypeId": 1, "id": 1}}.get(name, {"id": 1})
    ours, documented = peer.body(name, **params), sample(f"{name}.response.json")
    assert set(documented["time"]) <= set(ours["time"])
    assert set(ours["time"]) == ENVELOPE | {"operating", "operating_reset_at"}
    assert set(ours) == set(documented)


def test_documented_request_of_a_filtered_item_list_is_understood(peer):
    request = sample("crm.item.list.request.json")
    peer.item(1, title="x", name="Анна", sourceId="WEB", opportunity=5000, isManualOpportunity="Y")
    found = peer.call("crm.item.list", **request)["items"]
    documented = sample("crm.item.list.response.json")["result"]["items"]
    assert len(found) == 1
    assert set(found[0]) == set(documented[0])
