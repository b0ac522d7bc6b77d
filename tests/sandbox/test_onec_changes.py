"""The contract's rules for /changes: what is registered, how it is shown, and what a confirmation forgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.onec_peer import Peer, properties_of, running

ROWS = [{"name": "Стол", "quantity": "2", "price": "100.50"}]


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


def types(page):
    return [event["type"] for event in page["events"]]


def test_upserts_are_not_registered(peer):
    peer.company()
    peer.company(comment="новое")
    peer.order()

    page = peer.changes()

    assert page["events"] == []
    assert page["more"] is False


def test_changes_by_hand_are_registered_oldest_first(peer):
    counterparty = peer.company()["ref"]
    order = peer.order(rows=ROWS)["ref"]
    peer.by_hand(f"orders/{order}", status="КОтгрузке")
    invoice = peer.by_hand("invoices", order_ref=order)["ref"]
    peer.by_hand(f"counterparties/{counterparty}", comment="позвонить")

    page = peer.changes()

    assert types(page) == ["order.status_changed", "invoice.changed", "counterparty.changed"]
    assert [event["ref"] for event in page["events"]] == [order, invoice, counterparty]


def test_reading_repeats_until_confirmed(peer):
    peer.by_hand("counterparties", kind="person", name="Иванов Иван")

    first, second = peer.changes(), peer.changes()
    assert first["events"] == second["events"] != []

    assert peer.confirm(first["cursor"]) == 204
    assert peer.changes()["events"] == []


def test_object_changed_several_times_appears_once_at_the_place_of_its_last_change(peer):
    one = peer.by_hand("counterparties", kind="person", name="Первый")["ref"]
    two = peer.by_hand("counterparties", kind="person", name="Второй")["ref"]
    peer.by_hand(f"counterparties/{one}", name="Первый снова")

    events = peer.changes()["events"]

    assert [event["ref"] for event in events] == [two, one]
    assert events[1]["data"]["name"] == "Первый снова"


def test_newest_state_is_shown_even_where_an_upsert_made_it(peer):
    ref = peer.company()["ref"]
    peer.by_hand(f"counterparties/{ref}", comment="по-бухгалтерски")
    before = peer.changes()["events"][0]
    written = peer.company(comment="по-менеджерски")

    after = peer.changes()["events"][0]

    assert after["id"] == before["id"]
    assert after["data"]["comment"] == "по-менеджерски"
    assert (after["sequence"], after["version"]) == (written["sequence"], written["version"])


def test_confirming_forgets_only_up_to_the_cursor(peer):
    for number in range(3):
        peer.by_hand("counterparties", kind="person", name=f"Лицо {number}")
    page = peer.changes(limit=2)
    assert page["more"] is True

    peer.confirm(page["cursor"])

    assert [event["data"]["name"] for event in peer.changes()["events"]] == ["Лицо 2"]


def test_change_made_since_the_page_stays_registered(peer):
    ref = peer.by_hand("counterparties", kind="person", name="Иванов")["ref"]
    cursor = peer.changes()["cursor"]
    peer.by_hand(f"counterparties/{ref}", name="Петров")

    peer.confirm(cursor)

    assert [event["data"]["name"] for event in peer.changes()["events"]] == ["Петров"]


def test_empty_page_has_a_cursor_and_it_confirms_nothing_later(peer):
    cursor = peer.changes()["cursor"]
    peer.by_hand("counterparties", kind="person", name="Иванов")

    assert peer.confirm(cursor) == 204
    assert len(peer.changes()["events"]) == 1


def test_confirming_an_older_cursor_again_is_harmless(peer):
    peer.by_hand("counterparties", kind="person", name="Первый")
    old = peer.changes()["cursor"]
    peer.by_hand("counterparties", kind="person", name="Второй")
    peer.confirm(peer.changes()["cursor"])
    peer.by_hand("counterparties", kind="person", name="Третий")

    assert peer.confirm(old) == 204
    assert [event["data"]["name"] for event in peer.changes()["events"]] == ["Третий"]


@pytest.mark.parametrize("cursor", ["", "nothing", "1-00000000000000000000", 7, None])
def test_unknown_cursor_is_malformed(peer, cursor):
    assert peer.confirm(cursor) == 400


def test_status_and_another_change_are_one_order_changed(peer):
    order = peer.order(rows=ROWS)["ref"]
    peer.by_hand(f"orders/{order}", status="КОтгрузке")
    peer.by_hand(f"orders/{order}", posted="true")

    (event,) = peer.changes()["events"]

    assert event["type"] == "order.changed"
    assert (event["data"]["status"], event["data"]["posted"]) == ("КОтгрузке", True)


def test_after_a_confirmation_a_status_alone_is_a_status_again(peer):
    order = peer.order(rows=ROWS)["ref"]
    peer.by_hand(f"orders/{order}", posted="true")
    peer.confirm(peer.changes()["cursor"])
    peer.by_hand(f"orders/{order}", status="Закрыт")

    (event,) = peer.changes()["events"]

    assert event["type"] == "order.status_changed"
    assert event["data"] == {"status": "Закрыт", "order_number": "ТД00-000001"}


def test_deletion_mark_is_an_event_without_state_and_taking_it_off_a_change(peer):
    ref = peer.company()["ref"]
    peer.by_hand(f"counterparties/{ref}/delete")
    (deleted,) = peer.changes()["events"]
    peer.by_hand(f"counterparties/{ref}/undelete")
    (restored,) = peer.changes()["events"]

    assert deleted["type"] == "counterparty.deleted"
    assert "data" not in deleted
    assert restored["type"] == "counterparty.changed"
    assert deleted["sequence"] < restored["sequence"]


@pytest.mark.parametrize(
    ("schema", "type"),
    [("Counterparty", "counterparty.changed"), ("Invoice", "invoice.changed"), ("OrderState", "order.changed")],
)
def test_event_carries_every_field_of_the_schema(peer, schema, type):
    order = peer.order(rows=ROWS, counterparty_ref=peer.company(addresses=[{"kind": "legal"}])["ref"])["ref"]
    peer.by_hand(f"orders/{order}", posted="true")
    peer.by_hand("invoices", order_ref=order)
    peer.by_hand(f"counterparties/{peer.company()['ref']}", email="a@example.com", phone="8 (495) 123-45-67")

    state = next(event for event in peer.changes()["events"] if event["type"] == type)["data"]

    assert set(state) == properties_of(schema)
    for row in state.get("rows", []):
        assert set(row) == properties_of("Row")
    for address in state.get("addresses", []):
        assert set(address) == properties_of("Address")


def test_without_the_capability_there_are_no_such_events():
    offered = ("counterparties", "orders", "invoices", "statuses", "changes")
    with running(capabilities=("counterparties", "orders", "changes")) as peer:
        order = peer.order(rows=ROWS)["ref"]
        peer.by_hand("invoices", order_ref=order)
        peer.by_hand(f"orders/{order}", posted="true")
        (event,) = peer.changes()["events"]
        assert (event["type"], event["data"]["status"]) == ("order.changed", None)
        assert peer.post_form(f"orders/{order}", status="Закрыт").status_code == 400
    with running(capabilities=offered) as peer:
        order = peer.order(rows=ROWS)["ref"]
        peer.by_hand(f"orders/{order}", status="Закрыт")
        assert types(peer.changes()) == ["order.status_changed"]


def test_limit_is_enforced(peer):
    assert peer.call("GET", "/changes", params={"limit": "501"}).status_code == 400
