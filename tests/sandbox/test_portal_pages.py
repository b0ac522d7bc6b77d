"""The portal's pages: what a person sees and does."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tests.sandbox.portal_peer import running


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


def page(peer, path):
    answer = peer.session.get(peer.url + path, timeout=20)
    assert answer.status_code == 200
    return answer.text


def test_form_answers_303_to_the_card_and_json_to_a_program(peer):
    by_hand = peer.form("/ui/contacts", {"name": "Анна"}, accept="text/html")
    assert (by_hand.status_code, by_hand.headers["Location"]) == (303, "/ui/contacts/1")
    assert peer.form("/ui/contacts", {"name": "Вера"}, accept="*/*").status_code == 303
    by_program = peer.form("/ui/contacts", {"name": "Вера"})
    assert (by_program.status_code, by_program.json()) == (201, {"id": 3})
    edited = peer.form("/ui/contacts/3", {"name": "Вероника"})
    assert (edited.status_code, edited.json()) == (200, {"id": 3})


def test_contact_is_added_and_edited_by_the_manager(peer):
    company_id = peer.form("/ui/companies", {"title": "ООО «Ромашка»"}).json()["id"]
    form = {
        **{"name": "Анна", "last_name": "Белова", "second_name": "Ильинична", "phone": "+7 900 111-22-33"},
        **{"email": "anna@example.com", "comments": "VIP", "company_id": company_id},
    }
    contact_id = peer.form("/ui/contacts", form).json()["id"]
    contact = peer.call("crm.contact.get", id=contact_id)
    assert (contact["LAST_NAME"], contact["SECOND_NAME"], contact["COMMENTS"]) == ("Белова", "Ильинична", "VIP")
    assert (contact["COMPANY_ID"], contact["MODIFY_BY_ID"], contact["ASSIGNED_BY_ID"]) == (str(company_id), "2", "2")
    peer.form(f"/ui/contacts/{contact_id}", {"phone": "+7 900 999-99-99", "email": ""})
    contact = peer.call("crm.contact.get", id=contact_id)
    assert [(entry["ID"], entry["VALUE"]) for entry in contact["PHONE"]] == [("1", "+7 900 999-99-99")]
    assert "EMAIL" not in contact
    assert contact["NAME"] == "Анна"


def test_company_keeps_inn_kpp_ogrn_and_address_in_its_requisite(peer):
    form = {"title": "ООО «Ромашка»", "inn": "7700000000", "kpp": "770001001", "ogrn": "1027700000000"}
    company_id = peer.form("/ui/companies", form | {"address": "г. Тула, ул. Ленина, 1"}).json()["id"]
    requisite = peer.call("crm.requisite.list", filter={"ENTITY_TYPE_ID": 4, "ENTITY_ID": company_id})[0]
    assert (requisite["RQ_INN"], requisite["RQ_KPP"], requisite["PRESET_ID"]) == ("7700000000", "770001001", "1")
    filter_ = {"ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite["ID"], "TYPE_ID": 6}
    assert peer.call("crm.address.list", filter=filter_)[0]["ADDRESS_1"] == "г. Тула, ул. Ленина, 1"
    before = len(peer.fired())
    peer.form(f"/ui/companies/{company_id}", {"kpp": "770002002"})
    assert peer.fired()[before:] == ["ONCRMREQUISITEUPDATE"]
    assert peer.call("crm.requisite.get", id=requisite["ID"])["RQ_KPP"] == "770002002"


def test_12_digit_inn_makes_a_sole_trader(peer):
    company_id = peer.form(
        "/ui/companies", {"title": "ИП Белов", "inn": "770000000000", "ogrn": "304770000000000"}
    ).json()["id"]
    requisite = peer.call("crm.requisite.list", filter={"ENTITY_ID": company_id})[0]
    assert (requisite["PRESET_ID"], requisite["RQ_OGRNIP"], requisite["RQ_OGRN"]) == ("3", "304770000000000", None)


def test_deal_takes_rows_and_its_amount_from_them(peer):
    form = {
        "title": "Мебель",
        "category_id": "1",
        "stage_id": "C1:EXECUTING",
        "row_name": ["Стол", "Стул", ""],
        "row_quantity": ["2", "4", ""],
        "row_price": ["1200", "600,50", ""],
        "row_tax_rate": ["20", "", ""],
        "row_discount_sum": ["120", "", ""],
    }
    deal_id = peer.form("/ui/deals", form).json()["id"]
    deal = peer.call("crm.deal.get", id=deal_id)
    assert (deal["CATEGORY_ID"], deal["STAGE_ID"], deal["OPPORTUNITY"]) == ("1", "C1:EXECUTING", "4562.00")
    first, second = peer.call("crm.deal.productrows.get", id=deal_id)
    assert (first["PRICE"], first["PRICE_BRUTTO"], first["DISCOUNT_SUM"], first["TAX_RATE"]) == (1080, 1200, 100, 20)
    assert (second["PRICE"], second["TAX_RATE"], second["QUANTITY"]) == (600.5, None, 4)
    before = len(peer.fired())
    peer.form(f"/ui/deals/{deal_id}", {"title": "Мебель для кухни"})
    assert peer.fired()[before:] == ["ONCRMDEALUPDATE"]
    assert len(peer.call("crm.deal.productrows.get", id=deal_id)) == 2


def test_lead_is_qualified_by_hand(peer):
    lead_id = peer.form("/ui/leads", {"title": "Заявка", "name": "Анна", "opportunity": "500"}).json()["id"]
    assert peer.form(f"/ui/leads/{lead_id}", {"status_id": "CONVERTED"}).status_code == 200
    assert peer.call("crm.lead.get", id=lead_id)["STATUS_SEMANTIC_ID"] == "S"


def test_smart_invoice_can_be_edited_by_hand(peer):
    peer.item(31, title="Счёт")
    peer.form("/ui/smart_invoices/1", {"stage_id": "DT31_5:S"})
    assert peer.call("crm.item.get", entityTypeId=31, id=1)["item"]["stageId"] == "DT31_5:S"


def test_save_that_changes_nothing_fires_nothing(peer):
    peer.form("/ui/deals", {"title": "x"})
    before = len(peer.fired())
    peer.form("/ui/deals/1", {"title": "x"})
    assert peer.fired()[before:] == []


def test_refused_value_is_400_and_says_why(peer):
    by_program = peer.form("/ui/contacts", {"name": "Анна", "email": "nonsense"})
    assert (by_program.status_code, by_program.json()["error"]) == (400, "ERROR_CORE")
    by_hand = peer.form("/ui/contacts", {"last_name": ""}, accept="text/html")
    assert by_hand.status_code == 400
    assert "refuses" in by_hand.text


def test_unknown_card_or_kind_is_404(peer):
    assert peer.form("/ui/contacts/77", {}).status_code == 404
    assert peer.form("/ui/contacts/77/delete", {}).status_code == 404
    assert peer.form("/ui/nothing", {}).status_code == 404


def test_lists_show_key_fields_and_the_1c_id(peer):
    peer.form("/ui/contacts", {"name": "Анна", "last_name": "Белова", "phone": "+7 900"})
    peer.call("crm.contact.update", id=1, fields={"UF_CRM_1C_ID": "ref-of-1c"})
    peer.form("/ui/deals", {"title": "Мебель", "opportunity": "1500", "contact_id": "1"})
    text = page(peer, "/")
    for shown in ("Белова Анна", "+7 900", "ref-of-1c", "Мебель", "Новая (NEW)", "1\N{NO-BREAK SPACE}500.00 RUB"):
        assert shown in text


def test_card_shows_rows_and_timeline_and_renews_itself(peer):
    peer.form("/ui/deals", {"title": "Мебель", "row_name": "Стол", "row_price": "5"})
    fields = {"ENTITY_ID": 1, "ENTITY_TYPE": "deal", "COMMENT": "Заказ <УТ-1>"}
    peer.call("crm.timeline.comment.add", fields=fields)
    text = page(peer, "/ui/deals/1")
    for shown in ("Стол", "Заказ &lt;УТ-1&gt;", "setTimeout(renew", 'action="/ui/deals/1/delete"'):
        assert shown in text
    assert "theme" not in page(peer, "/_pages/style.css")[:5]


class FormReader(HTMLParser):
    """Reads the fields of a page's first form as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.is_inside = False
        self.select: str | None = None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.is_inside = given.get("class") == "card"
        if not self.is_inside:
            return
        if tag == "input":
            self.fields.append((given["name"], given["value"]))
        if tag == "select":
            self.select = given["name"]
        if tag == "option" and ("selected" in given or self.select not in dict(self.fields)):
            self.fields = [field for field in self.fields if field[0] != self.select]
            self.fields.append((self.select, given["value"]))


CARDS = {
    "contacts": {"name": "Анна", "phone": "+7 900", "email": "a@example.com", "company_id": "1"},
    "companies": {"title": "ООО", "inn": "7700000000", "kpp": "770001001", "address": "г. Тула", "phone": "5"},
    "leads": {"title": "Заявка", "status_id": "IN_PROCESS", "opportunity": "5.5", "email": "a@example.com"},
    "deals": {"title": "x", "category_id": "1", "stage_id": "C1:WON", "company_id": "1", "opportunity": "7"},
    "smart_invoices": {"stage_id": "DT31_5:S"},
}


@pytest.mark.parametrize("kind", CARDS)
def test_card_saved_as_it_is_shown_changes_nothing(peer, kind):
    if kind == "smart_invoices":
        peer.item(31, title="Счёт")
        peer.form("/ui/smart_invoices/1", CARDS[kind])
        record_id = 1
    else:
        record_id = peer.form(f"/ui/{kind}", CARDS[kind]).json()["id"]
    reader = FormReader()
    reader.feed(page(peer, f"/ui/{kind}/{record_id}"))
    assert set(CARDS[kind]) <= {name for name, _value in reader.fields}
    before, state = len(peer.fired()), peer.sandbox("state")
    assert peer.form(f"/ui/{kind}/{record_id}", reader.fields).status_code == 200
    assert peer.fired()[before:] == []
    assert peer.sandbox("state") == state


def test_rows_saved_as_they_are_shown_keep_their_prices(peer):
    form = {"title": "x", "row_name": ["Стол", "Стул"], "row_quantity": ["3", "1"], "row_price": ["99.99", "10.01"]}
    peer.form("/ui/deals", form | {"row_tax_rate": ["20", "10"], "row_discount_sum": ["0", "1"]})
    reader = FormReader()
    reader.feed(page(peer, "/ui/deals/1"))
    before = peer.call("crm.deal.get", id=1)["OPPORTUNITY"]
    peer.form("/ui/deals/1", reader.fields)
    assert peer.call("crm.deal.get", id=1)["OPPORTUNITY"] == before == "308.98"
