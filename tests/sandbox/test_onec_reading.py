"""The contract's rules for reading: what is found, in which order, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.sandbox.onec_peer import Peer, read_json, running


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


def refs(records):
    return [record["ref"] for record in records]


def test_about_tells_what_the_base_can_do():
    with running(max_batch=7, max_sessions=3, capabilities=("orders", "changes"), configuration="УНФ") as peer:
        about = peer.call("GET", "/about").json()

    assert about["limits"] == {"max_batch": 7, "max_sessions": 3}
    assert about["capabilities"] == ["orders", "changes"]
    assert about["configuration"] == "УНФ"
    assert about["order_statuses"] == []


def test_about_names_the_order_statuses(peer):
    codes = [status["code"] for status in peer.call("GET", "/about").json()["order_statuses"]]

    assert codes == ["КОбеспечению", "КОтгрузке", "Закрыт", "Отменен"]


def test_times_have_the_offset_of_the_base_and_its_clock():
    with running(clock=lambda: 1_800_000_000.9) as peer:
        assert peer.call("GET", "/about").json()["now"] == "2027-01-15T11:00:00+03:00"


@pytest.mark.parametrize("path", ["/counterparties", "/leads", "/orders", "/invoices", "/changes"])
def test_resource_that_is_not_offered_is_a_404_problem(path):
    with running(capabilities=()) as peer:
        response = peer.call("GET", path)

        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_match_keys_are_joined_by_and(peer):
    one = peer.company(1, inn="7707083893", kpp="770701001", emails=[{"value": "Info@Example.com"}])["ref"]
    peer.company(2, inn="7707083893", kpp="770702002", emails=[{"value": "info@example.com"}])

    assert len(peer.find("counterparties", inn="7707083893")) == 2
    assert refs(peer.find("counterparties", inn="7707083893", kpp="770701001")) == [one]
    assert refs(peer.find("counterparties", kpp="770701001")) == [one]
    assert refs(peer.find("counterparties", external_id="b24:company:1", email="INFO@example.com")) == [one]
    assert peer.find("counterparties", external_id="b24:company:2", kpp="770701001") == []
    assert peer.find("counterparties", ref=one, inn="500100732259") == []


def test_email_is_compared_without_regard_to_case(peer):
    ref = peer.company(emails=[{"value": "Info@Example.com"}])["ref"]

    assert refs(peer.find("counterparties", email="iNFO@eXAMPLE.COM")) == [ref]


def test_old_values_are_found_no_more(peer):
    peer.company(inn="7707083893", emails=[{"value": "a@example.com"}])
    peer.company(inn="500100732259", emails=[])

    assert peer.find("counterparties", inn="7707083893") == []
    assert peer.find("counterparties", email="a@example.com") == []
    assert len(peer.find("counterparties", inn="500100732259")) == 1


def test_lists_come_with_the_oldest_change_first(peer):
    first, second, third = (peer.company(number)["ref"] for number in (1, 2, 3))
    peer.company(1, comment="новое")

    assert refs(peer.find("counterparties")) == [second, third, first]


def test_pages_cover_everything_once_and_the_last_has_no_next(peer):
    expected = [peer.company(number)["ref"] for number in range(1, 8)]

    seen, query = [], {"limit": 3}
    pages = 0
    while True:
        page = peer.call("GET", "/counterparties", params=query).json()
        seen += refs(page["items"])
        pages += 1
        if page["next"] is None:
            break
        query = {"limit": 3, "after": page["next"]}

    assert seen == expected
    assert pages == 3


def test_a_full_last_page_has_no_next(peer):
    for number in (1, 2):
        peer.company(number)

    assert peer.call("GET", "/counterparties", params={"limit": 2}).json()["next"] is None


def test_what_changes_meanwhile_comes_again_at_the_end(peer):
    first, second, third = (peer.company(number)["ref"] for number in (1, 2, 3))
    page = peer.call("GET", "/counterparties", params={"limit": 2}).json()
    peer.company(1, comment="новое")

    rest = peer.find("counterparties", after=page["next"])

    assert refs(page["items"]) == [first, second]
    assert refs(rest) == [third, first]


@pytest.mark.parametrize("after", ["", "zzz", "2-00000000000000000000", "02"])
def test_unknown_after_is_malformed(peer, after):
    response = peer.call("GET", "/counterparties", params={"after": after})

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_cursor_of_another_list_or_of_another_life_is_unknown(peer):
    for number in (1, 2):
        peer.company(number)
    cursor = peer.call("GET", "/counterparties", params={"limit": 1}).json()["next"]

    assert peer.call("GET", "/orders", params={"after": cursor}).status_code == 400
    peer.sandbox("reset")
    assert peer.call("GET", "/counterparties", params={"after": cursor}).status_code == 400


def test_marked_objects_are_left_out_unless_asked_for(peer):
    ref = peer.company()["ref"]
    peer.by_hand(f"counterparties/{ref}/delete")

    assert peer.find("counterparties", ref=ref) == []
    (record,) = peer.find("counterparties", ref=ref, deleted="true")
    assert record["deleted"] is True


def test_changed_since_takes_what_changed_at_or_after_it():
    times = iter([1_800_000_000.2, 1_800_000_060.7])
    now = [0.0]
    with running(clock=lambda: now[0], session_idle_seconds=1e12) as peer:
        now[0] = next(times)
        old = peer.get("counterparties", peer.company(1)["ref"])
        now[0] = next(times)
        new = peer.get("counterparties", peer.company(2)["ref"])

        later = (datetime.fromisoformat(new["changed_at"]) + timedelta(seconds=1)).isoformat()
        assert len(peer.find("counterparties", changed_since=old["changed_at"])) == 2
        assert refs(peer.find("counterparties", changed_since=new["changed_at"])) == [new["ref"]]
        assert refs(peer.find("counterparties", changed_since="2027-01-15T08:01:00.9Z")) == [new["ref"]]
        assert peer.find("counterparties", changed_since=later) == []


@pytest.mark.parametrize(
    "query",
    [
        {"ref": "42"},
        {"external_id": "b24:product:1"},
        {"inn": "123"},
        {"kpp": "12"},
        {"email": "nobody"},
        {"changed_since": "2026-11-21"},
        {"changed_since": "2026-11-21T10:00:00"},
        {"changed_since": "2026-02-30T10:00:00Z"},
        {"deleted": "yes"},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "ten"},
    ],
)
def test_query_that_breaks_a_format_is_malformed(peer, query):
    response = peer.call("GET", "/counterparties", params=query)

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_invoices_are_found_by_their_order(peer):
    order = peer.order(rows=[{"name": "Стол", "quantity": "1", "price": "10"}])["ref"]
    mine = peer.by_hand("invoices", order_ref=order)["ref"]
    peer.by_hand("invoices", counterparty_ref=peer.company()["ref"], amount="5")

    (record,) = peer.find("invoices", order_ref=order)

    assert record["ref"] == mine
    assert (record["order_external_id"], record["counterparty_external_id"]) == ("b24:deal:1", "b24:company:1")
    assert record["external_id"] is None


def test_answers_may_begin_with_a_byte_order_mark():
    with running(bom=True) as peer:
        response = peer.call("GET", "/about")

        assert response.content.startswith(b"\xef\xbb\xbf{")
        assert read_json(response)["contract_version"] == "1.0"
