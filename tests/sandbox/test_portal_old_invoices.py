"""crm.invoice.*, crm.persontype.list and crm.paysystem.list: what is left for portals without smart invoices."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running, sample

ROW = {"ID": 0, "PRODUCT_ID": 0, "PRODUCT_NAME": "Стол", "QUANTITY": 2, "PRICE": 600, "VAT_RATE": 0.2}
FIELDS = {
    "ORDER_TOPIC": "Счёт № 1",
    "STATUS_ID": "N",
    "PERSON_TYPE_ID": 1,
    "PAY_SYSTEM_ID": 4,
    "UF_CONTACT_ID": 1,
    "XML_ID": "11111111-2222-3333-4444-555555555555",
    "PRODUCT_ROWS": [ROW],
}


@pytest.fixture(scope="module")
def peer():
    with running() as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        yield peer


def test_payer_types_are_contact_and_company(peer):
    assert peer.call("crm.persontype.list") == [
        {"ID": "1", "NAME": "CRM_CONTACT"},
        {"ID": "2", "NAME": "CRM_COMPANY"},
    ]


def test_pay_systems_are_filtered_by_payer_and_activity(peer):
    assert len(peer.call("crm.paysystem.list")) == 3
    (active,) = peer.call("crm.paysystem.list", filter={"PERSON_TYPE_ID": "1", "ACTIVE": "Y"})
    assert (active["ID"], active["PERSON_TYPE_ID"], active["ACTIVE"]) == ("4", "1", "Y")


@pytest.mark.parametrize("name", ["ORDER_TOPIC", "STATUS_ID", "PERSON_TYPE_ID", "PAY_SYSTEM_ID", "PRODUCT_ROWS"])
def test_add_refuses_an_invoice_without(peer, name):
    given = {key: value for key, value in FIELDS.items() if key != name}
    assert peer.refused("crm.invoice.add", fields=given) == (400, "ERROR_CORE", f"The '{name}' field is required.")


def test_xml_id_is_stored_and_found_by(peer):
    id_ = peer.call("crm.invoice.add", fields=FIELDS)
    other = {**FIELDS, "XML_ID": "99999999-2222-3333-4444-555555555555"}
    peer.call("crm.invoice.add", fields=other)
    found = peer.call("crm.invoice.list", filter={"XML_ID": FIELDS["XML_ID"]}, select=["ID", "XML_ID"])
    assert found == [{"ID": str(id_), "XML_ID": FIELDS["XML_ID"]}]


def test_price_is_the_sum_of_rows_and_vat_rate_a_share(peer):
    id_ = peer.call("crm.invoice.add", fields=FIELDS)
    invoice = peer.call("crm.invoice.get", id=id_)
    assert (invoice["PRICE"], invoice["TAX_VALUE"]) == ("1200.00", "200.00")
    assert invoice["PRODUCT_ROWS"][0]["VAT_RATE"] == "0.2"


def test_documented_request_is_taken(peer):
    fields = sample("crm.invoice.add.request.json")["fields"]
    peer.call("crm.company.add", fields={"TITLE": "ООО Ромашка"})
    assert peer.call("crm.invoice.add", fields=fields) > 0
