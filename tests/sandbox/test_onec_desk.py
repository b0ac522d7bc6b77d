"""What a person does in 1C by hand, on the pages and by form, and the sandbox's own controls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.sandbox.onec_peer import Peer, check_schema, running

ROWS = [{"name": "Стол", "quantity": "2", "price": "100.50"}]


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


def test_counterparty_is_added_by_form(peer):
    ref = peer.by_hand(
        "counterparties",
        kind="company",
        name="ООО Лютик",
        full_name="Общество Лютик",
        inn="7707083893",
        kpp="770701001",
        ogrn="1027700132195",
        phone="8 (495) 123-45-67",
        email="info@example.com",
        legal_address="Москва, Тверская, 1",
        comment="",
    )["ref"]

    record = peer.get("counterparties", ref)
    assert (record["name"], record["inn"], record["comment"]) == ("ООО Лютик", "7707083893", None)
    assert record["phones"] == [{"value": "+74951234567", "kind": "work"}]
    assert record["emails"] == [{"value": "info@example.com", "kind": "work"}]
    assert [(one["kind"], one["text"]) for one in record["addresses"]] == [("legal", "Москва, Тверская, 1")]
    assert record["external_id"] is None


def test_edit_changes_only_the_posted_fields(peer):
    ref = peer.company(inn="7707083893", phones=[{"value": "1"}, {"value": "2", "kind": "home"}])["ref"]

    peer.by_hand(f"counterparties/{ref}", name="ООО Лютик", phone="555")

    record = peer.get("counterparties", ref)
    assert (record["name"], record["inn"]) == ("ООО Лютик", "7707083893")
    assert record["phones"] == [{"value": "555", "kind": "other"}, {"value": "2", "kind": "home"}]


def test_save_without_a_change_is_a_write_all_the_same(peer):
    before = peer.company()

    peer.by_hand(f"counterparties/{before['ref']}", name="ООО Ромашка")

    assert peer.get("counterparties", before["ref"])["version"] != before["version"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("counterparties", {"kind": "company"}),
        ("counterparties", {"name": "И", "inn": "12"}),
        ("counterparties", {"name": "И", "email": "nobody"}),
        ("counterparties/{ref}", {"name": ""}),
        ("invoices", {"counterparty_ref": "{ref}"}),
        ("invoices", {"counterparty_ref": "{ref}", "amount": "much"}),
        ("orders/{order}", {"status": "Готов"}),
        ("orders/{order}", {"posted": "perhaps"}),
    ],
)
def test_form_that_is_filled_badly_is_refused_and_changes_nothing(peer, path, form):
    places = {"ref": peer.company()["ref"], "order": peer.order()["ref"]}
    before = peer.sandbox("state")

    response = peer.post_form(path.format(**places), **{key: value.format(**places) for key, value in form.items()})

    assert response.status_code == 400
    assert response.json()["error"]
    assert peer.sandbox("state") == before


@pytest.mark.parametrize("path", ["counterparties/nobody", "orders/nobody", "invoices/x/delete", "banks/x/delete"])
def test_form_of_nothing_is_404(peer, path):
    assert peer.post_form(path).status_code == 404


def test_invoice_takes_rows_and_sum_of_its_order(peer):
    order = peer.get("orders", peer.order(rows=ROWS)["ref"])
    made = peer.by_hand("invoices", order_ref=order["ref"], pay_before="2026-12-31")

    invoice = peer.get("invoices", made["ref"])

    assert invoice["number"] == made["number"] == "ТДЦБ-000001"
    assert (invoice["rows"], invoice["amount"], invoice["currency"]) == (order["rows"], "201.00", "RUB")
    assert (invoice["status"], invoice["paid_amount"], invoice["pay_before"]) == ("issued", "0.00", "2026-12-31")
    assert invoice["counterparty_ref"] == order["counterparty_ref"]


@pytest.mark.parametrize(
    ("form", "status", "paid"),
    [
        ({"paid_amount": "50"}, "partly_paid", "50.00"),
        ({"paid_amount": "201.00"}, "paid", "201.00"),
        ({"status": "issued", "paid_amount": "201", "amount": "201"}, "paid", "201.00"),
        ({"status": "paid"}, "paid", "201.00"),
        ({"status": "partly_paid", "paid_amount": "1"}, "partly_paid", "1.00"),
        ({"status": "cancelled"}, "cancelled", "0.00"),
        ({"pay_before": "2027-01-01"}, "issued", "0.00"),
    ],
)
def test_payment_moves_the_invoice_status(peer, form, status, paid):
    ref = peer.by_hand("invoices", order_ref=peer.order(rows=ROWS)["ref"])["ref"]

    peer.by_hand(f"invoices/{ref}", **form)

    invoice = peer.get("invoices", ref)
    assert (invoice["status"], invoice["paid_amount"]) == (status, paid)


def test_order_is_posted_locked_and_moved_by_form(peer):
    ref = peer.order()["ref"]

    peer.by_hand(f"orders/{ref}", status="Закрыт", posted="on", locked="1")

    (order,) = peer.sandbox("state")["orders"]
    assert (order["status"], order["posted"], order["locked"]) == ("Закрыт", True, True)


def test_order_can_be_made_by_hand(peer):
    payer = peer.company()["ref"]

    made = peer.by_hand("orders", counterparty_ref=payer, title="С улицы", amount="70")

    assert peer.get("orders", made["ref"])["amount"] == "70.00"
    assert [event["type"] for event in peer.changes()["events"]] == ["order.changed"]


def test_form_of_a_browser_leads_to_the_record(peer):
    answer = requests.post(
        f"{peer.url}/ui/counterparties", data={"name": "ООО <Лютик>"}, timeout=20, allow_redirects=False
    )
    page = requests.get(f"{peer.url}{answer.headers['Location']}", timeout=20)

    assert answer.status_code == 303
    assert "ООО &lt;Лютик&gt;" in page.text


def test_pages_show_every_kind_of_record(peer):
    order = peer.order(rows=ROWS)
    lead = peer.put("leads", external_id="b24:lead:1", title="Звонок")["ref"]
    invoice = peer.by_hand("invoices", order_ref=order["ref"])
    peer.by_hand(f"leads/{lead}/delete")

    lists = requests.get(peer.url, timeout=20).text
    cards = {
        type: requests.get(f"{peer.url}/ui/{type}/{ref}", timeout=20).text
        for type, ref in (("orders", order["ref"]), ("leads", lead), ("invoices", invoice["ref"]))
    }

    assert all(text in lists for text in ("b24:company:1", "Звонок", order["number"], invoice["number"]))
    assert "К отгрузке" in cards["orders"]
    assert "marked for deletion" in cards["leads"]
    assert "partly_paid" in cards["invoices"]


def test_state_shows_all_records_as_the_contract_has_them(peer):
    order = peer.order(rows=ROWS)["ref"]
    peer.put("leads", external_id="b24:lead:1", title="Звонок")
    peer.by_hand("invoices", order_ref=order)

    state = peer.sandbox("state")

    kinds = {"counterparties": "Counterparty", "leads": "Lead", "orders": "Order", "invoices": "Invoice"}
    for type, name in kinds.items():
        (record,) = state[type]
        check_schema({"$ref": f"#/components/schemas/{name}Record"}, record)


def test_journal_counts_calls_and_items(peer):
    peer.upsert("leads", {"external_id": "b24:lead:1", "title": "а"}, {"external_id": "b24:lead:2", "title": "б"})

    journal = peer.sandbox("journal")

    (call,) = journal["calls"]
    assert (call["method"], call["path"], call["status"], call["items"]) == ("POST", "/leads", 200, 2)
    assert journal["counters"]["requests"] == 1
    assert journal["counters"]["items"] == 2
    assert journal["counters"]["max_concurrent_sessions"] == 1


def test_faults_are_read_and_set_at_run_time(peer):
    assert peer.sandbox("faults") == {"faults": []}
    assert peer.sandbox("faults", spec="http502:/about=1x1") == {"faults": ["http502:/about=1x1@1"]}
    assert peer.http.post(f"{peer.url}/_sandbox/faults", json={"spec": "earthquake"}, timeout=20).status_code == 400


def test_reset_empties_the_base(peer):
    peer.order()
    peer.by_hand("counterparties", name="И")

    peer.sandbox("reset")

    assert all(records == [] for records in peer.sandbox("state").values())
    assert peer.sandbox("events")["events"] == []
    assert peer.sandbox("journal")["calls"] == []
    assert peer.company()["sequence"] == 1
