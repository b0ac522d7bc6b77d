"""The contract's rules for what an upsert does, one test a rule."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.onec_peer import Peer, running

NOBODY = str(uuid.UUID(int=7))
ROW = {"name": "Стол", "quantity": "2", "price": "100.50"}


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


def error_of(result: dict[str, Any]) -> tuple[str, str | None]:
    assert result["outcome"] == "rejected", result
    return result["error"]["code"], result["error"]["field"]


def test_same_item_twice_creates_nothing_twice(peer):
    item = {"external_id": "b24:company:1", "name": "ООО Ромашка", "phones": [{"value": "+74951234567"}]}

    first, second = peer.upsert("counterparties", item, item)

    assert (first["outcome"], second["outcome"]) == ("created", "unchanged")
    assert (second["ref"], second["version"], second["sequence"]) == (first["ref"], first["version"], first["sequence"])
    assert len(peer.find("counterparties")) == 1


def test_version_and_sequence_change_with_every_write(peer):
    first = peer.company(comment="a")
    second = peer.company(comment="b")

    assert second["outcome"] == "updated"
    assert second["version"] != first["version"]
    assert second["sequence"] > first["sequence"]


def test_sequence_is_one_counter_for_the_whole_base(peer):
    written = [
        peer.company(),
        peer.put("leads", external_id="b24:lead:1", title="Звонок"),
        peer.order(),
        peer.company(comment="x"),
    ]

    assert [one["sequence"] for one in written] == [1, 2, 3, 4]


def test_absent_field_is_left_as_it_is(peer):
    ref = peer.company(comment="важный", inn="7707083893")["ref"]

    peer.company(name="ООО Лютик")

    record = peer.get("counterparties", ref)
    assert (record["name"], record["comment"], record["inn"]) == ("ООО Лютик", "важный", "7707083893")


def test_null_clears_a_field_that_may_be_null(peer):
    ref = peer.company(comment="важный", responsible={"name": "Иванов", "email": "i@example.com"})["ref"]

    peer.company(comment=None, responsible=None)

    record = peer.get("counterparties", ref)
    assert record["comment"] is None
    assert record["responsible"] is None


@pytest.mark.parametrize(
    ("type", "field"),
    [
        ("counterparties", "kind"),
        ("counterparties", "name"),
        ("counterparties", "emails"),
        ("leads", "title"),
        ("orders", "counterparty_ref"),
        ("orders", "amount"),
        ("orders", "currency"),
        ("orders", "rows"),
    ],
)
def test_null_for_a_field_that_may_not_be_null_is_a_fault(peer, type, field):
    external_id = {"counterparties": "b24:contact:5", "leads": "b24:lead:5", "orders": "b24:deal:5"}[type]
    needed = {"name": "И", "title": "Т", "counterparty_ref": peer.company()["ref"]}

    assert error_of(peer.put(type, **{**needed, "external_id": external_id, field: None})) == ("validation", field)


def test_array_is_replaced_whole_and_empty_clears_it(peer):
    ref = peer.company(emails=[{"value": "a@example.com"}, {"value": "b@example.com"}])["ref"]

    peer.company(emails=[{"value": "c@example.com", "kind": "work"}])
    assert peer.get("counterparties", ref)["emails"] == [{"value": "c@example.com", "kind": "work"}]

    peer.company(emails=[])
    assert peer.get("counterparties", ref)["emails"] == []


def test_unknown_fields_are_ignored(peer):
    ref = peer.company(colour="blue")["ref"]

    assert "colour" not in peer.get("counterparties", ref)
    assert peer.company(colour="red")["outcome"] == "unchanged"


def test_kind_is_company_where_absent(peer):
    assert peer.get("counterparties", peer.company()["ref"])["kind"] == "company"


@pytest.mark.parametrize(
    ("type", "external_id", "field"),
    [
        ("counterparties", "b24:contact:1", "name"),
        ("leads", "b24:lead:1", "title"),
        ("orders", "b24:deal:1", "counterparty_ref"),
    ],
)
def test_create_needs_its_field(peer, type, external_id, field):
    assert error_of(peer.put(type, external_id=external_id)) == ("validation", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inn", "123"),
        ("inn", 7707083893),
        ("inn", "7707083893\n"),
        ("kpp", "77070100a"),
        ("ogrn", "1"),
        ("name", "я" * 151),
        ("name", "  "),
        ("kind", "bank"),
        ("emails", [{"value": "not an address"}]),
        ("emails", [{"value": "ivan@"}]),
        ("emails", [{"kind": "work"}]),
        ("emails", {"value": "a@example.com"}),
        ("phones", [{"value": "1", "kind": "pager"}]),
        ("addresses", [{"text": "Москва"}]),
        ("addresses", [{"kind": "legal", "city": None}]),
        ("responsible", "Иванов"),
        ("ref", "42"),
        ("ref", None),
        ("relink", "yes"),
        ("not_duplicate_of", ["42"]),
        ("if_version", 1),
    ],
)
def test_formats_are_enforced(peer, field, value):
    result = peer.put("counterparties", **{"external_id": "b24:company:1", "name": "ООО", field: value})

    code, place = error_of(result)
    assert code == "validation"
    assert place.startswith(field)
    assert peer.find("counterparties") == []


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"quantity": "1.2345"}, "rows[0].quantity"),
        ({"price": "1.001"}, "rows[0].price"),
        ({"discount": "0.125"}, "rows[0].discount"),
        ({"amount": "1e3"}, "rows[0].amount"),
        ({"price": 100.5}, "rows[0].price"),
        ({"price": "1,50"}, "rows[0].price"),
        ({"product_ref": "7"}, "rows[0].product_ref"),
        ({"vat_included": 1}, "rows[0].vat_included"),
    ],
)
def test_decimals_are_strings_of_two_places_for_money_and_three_for_quantities(peer, row, place):
    result = peer.put("orders", external_id="b24:deal:1", counterparty_ref=peer.company()["ref"], rows=[{**ROW, **row}])

    assert error_of(result) == ("validation", place)


def test_row_needs_its_name_quantity_and_price(peer):
    payer = peer.company()["ref"]
    for name in ROW:
        row = {key: value for key, value in ROW.items() if key != name}
        result = peer.put("orders", external_id="b24:deal:1", counterparty_ref=payer, rows=[row])
        assert error_of(result) == ("validation", f"rows[0].{name}")


def test_decimals_are_compared_as_numbers_zeros_at_the_end_not_counted(peer):
    first = peer.order(rows=[{**ROW, "quantity": "2.5000", "price": "100.5000", "discount": "-0"}])

    again = peer.order(rows=[{**ROW, "quantity": "02.5", "price": "100.50", "discount": "0"}])

    assert (first["outcome"], again["outcome"]) == ("created", "unchanged")


def test_order_total_is_the_sum_of_its_rows(peer):
    rows = [
        {**ROW, "discount": "1.00"},
        {"name": "Сборка", "quantity": "0.333", "price": "10.00"},
        {"name": "Доставка", "quantity": "1", "price": "100", "vat_rate": "20", "vat_included": False},
    ]

    record = peer.get("orders", peer.order(rows=rows, amount="1.00")["ref"])

    assert [row["amount"] for row in record["rows"]] == ["200.00", "3.33", "100.00"]
    assert record["amount"] == "323.33"


def test_order_without_rows_keeps_the_amount_that_was_sent(peer):
    assert peer.get("orders", peer.order(amount="1200.5")["ref"])["amount"] == "1200.50"


def test_row_of_an_unknown_product_is_kept_as_free_text(peer):
    row = {**ROW, "product_ref": NOBODY, "product_external_id": "b24:product:7", "sku": "ST-1"}

    (kept,) = peer.get("orders", peer.order(rows=[row])["ref"])["rows"]

    assert kept["product_ref"] is None
    assert (kept["name"], kept["product_external_id"], kept["sku"]) == ("Стол", "b24:product:7", "ST-1")


def test_order_gets_a_number_and_the_first_status(peer):
    result = peer.order()
    record = peer.get("orders", result["ref"])

    assert result["number"] == record["number"] == "ТД00-000001"
    assert (record["status"], record["posted"]) == ("КОбеспечению", False)


def test_reference_to_no_counterparty_is_a_fault(peer):
    payer = peer.company()["ref"]

    assert error_of(peer.put("orders", external_id="b24:deal:1", counterparty_ref=NOBODY)) == (
        "validation",
        "counterparty_ref",
    )
    assert error_of(peer.put("orders", external_id="b24:deal:1", counterparty_ref=payer, contact_ref=NOBODY)) == (
        "validation",
        "contact_ref",
    )
    assert error_of(peer.put("leads", external_id="b24:lead:1", title="Т", counterparty_ref=NOBODY)) == (
        "validation",
        "counterparty_ref",
    )


def test_if_version_refuses_a_change_of_a_newer_object(peer):
    old = peer.company(comment="a")
    new = peer.company(comment="b")

    refused = peer.put("counterparties", external_id="b24:company:1", comment="c", if_version=old["version"])
    done = peer.put("counterparties", external_id="b24:company:1", comment="c", if_version=new["version"])

    assert error_of(refused)[0] == "version_conflict"
    assert refused["version"] == new["version"]
    assert done["outcome"] == "updated"


def test_if_version_is_looked_at_only_where_something_would_change(peer):
    peer.company(comment="a")

    result = peer.put("counterparties", external_id="b24:company:1", comment="a", if_version="long ago")

    assert result["outcome"] == "unchanged"


def test_duplicate_for_the_same_inn_and_kpp(peer):
    first = peer.company(1, inn="7707083893", kpp="770701001")

    result = peer.put("counterparties", external_id="b24:company:2", name="Двойник", inn="7707083893", kpp="770701001")

    assert error_of(result)[0] == "duplicate"
    assert result["error"]["candidates"] == [first["ref"]]


def test_branches_share_an_inn(peer):
    peer.company(1, inn="7707083893", kpp="770701001")

    assert peer.company(2, inn="7707083893", kpp="770702002")["outcome"] == "created"


def test_without_a_kpp_the_same_inn_is_a_duplicate_of_all_that_have_it(peer):
    refs = [peer.company(number, inn="7707083893", kpp=f"77070100{number}")["ref"] for number in (1, 2)]

    result = peer.put("counterparties", external_id="b24:company:3", name="Без КПП", inn="7707083893")

    assert error_of(result)[0] == "duplicate"
    assert result["error"]["candidates"] == sorted(refs)


def test_a_new_inn_or_kpp_can_make_a_duplicate_too(peer):
    first = peer.company(1, inn="7707083893", kpp="770701001")
    peer.company(2, inn="7707083893", kpp="770702002")

    for change in ({"kpp": "770701001"}, {"kpp": None}):
        result = peer.put("counterparties", external_id="b24:company:2", **change)
        assert error_of(result)[0] == "duplicate"
        assert result["error"]["candidates"] == [first["ref"]]


def test_a_change_of_other_fields_of_an_old_double_is_no_duplicate(peer):
    peer.company(1, inn="7707083893")
    peer.by_hand("counterparties", kind="company", name="Двойник", inn="7707083893")

    assert peer.company(1, inn="7707083893", comment="новое")["outcome"] == "updated"


def test_marked_counterparty_makes_no_duplicate(peer):
    first = peer.company(1, inn="7707083893")
    peer.by_hand(f"counterparties/{first['ref']}/delete")

    assert peer.company(2, inn="7707083893")["outcome"] == "created"


def test_a_person_may_decide_to_have_both(peer):
    first = peer.company(1, inn="7707083893", kpp="770701001")["ref"]
    second = peer.company(2, inn="7707083893", kpp="770702002")["ref"]
    item = {"external_id": "b24:company:3", "name": "Третий", "inn": "7707083893"}

    one_listed = peer.put("counterparties", **item, not_duplicate_of=[first])
    all_listed = peer.put("counterparties", **item, not_duplicate_of=[first, second.upper()])

    assert error_of(one_listed)[0] == "duplicate"
    assert one_listed["error"]["candidates"] == sorted([first, second])
    assert all_listed["outcome"] == "created"


def test_ref_links_an_object_that_was_made_by_hand(peer):
    ref = peer.by_hand("counterparties", kind="company", name="ООО Лютик")["ref"]

    result = peer.put("counterparties", external_id="b24:company:1", ref=ref)

    assert (result["outcome"], result["ref"]) == ("updated", ref)
    assert peer.get("counterparties", ref)["external_id"] == "b24:company:1"


def test_unknown_ref_is_not_found(peer):
    assert error_of(peer.put("counterparties", external_id="b24:company:1", name="И", ref=NOBODY))[0] == "not_found"


def test_ref_linked_elsewhere_is_a_duplicate_until_relink(peer):
    ref = peer.company(1)["ref"]

    refused = peer.put("counterparties", external_id="b24:company:2", ref=ref)
    moved = peer.put("counterparties", external_id="b24:company:2", ref=ref, relink=True)

    assert error_of(refused)[0] == "duplicate"
    assert refused["error"]["candidates"] == [ref]
    assert (moved["outcome"], moved["ref"]) == ("updated", ref)
    assert peer.find("counterparties", external_id="b24:company:1") == []


def test_external_id_linked_elsewhere_is_a_duplicate_until_relink(peer):
    loser, winner = peer.company(1)["ref"], peer.company(2)["ref"]

    refused = peer.put("counterparties", external_id="b24:company:1", ref=winner)
    moved = peer.put("counterparties", external_id="b24:company:1", ref=winner, relink=True)

    assert error_of(refused)[0] == "duplicate"
    assert set(refused["error"]["candidates"]) == {winner, loser}
    assert moved["outcome"] == "updated"
    assert peer.get("counterparties", winner)["external_id"] == "b24:company:1"


def test_object_that_loses_its_link_is_a_write_of_its_own(peer):
    before, winner = peer.company(1), peer.company(2)

    moved = peer.put("counterparties", external_id="b24:company:1", ref=winner["ref"], relink=True)

    loser = peer.get("counterparties", before["ref"])
    assert loser["external_id"] is None
    assert before["sequence"] < loser["sequence"] != moved["sequence"]
    assert loser["version"] != before["version"]


def test_marked_object_is_not_changed(peer):
    ref = peer.company(comment="a")["ref"]
    peer.by_hand(f"counterparties/{ref}/delete")

    assert error_of(peer.put("counterparties", external_id="b24:company:1", comment="b"))[0] == "deleted"
    assert peer.put("counterparties", external_id="b24:company:1", comment="a")["outcome"] == "unchanged"


def test_locked_order_is_not_changed(peer):
    ref = peer.order(title="Сделка")["ref"]
    peer.by_hand(f"orders/{ref}", posted="true", locked="true")

    assert error_of(peer.put("orders", external_id="b24:deal:1", title="Другая"))[0] == "locked"
    assert peer.put("orders", external_id="b24:deal:1", title="Сделка")["outcome"] == "unchanged"

    peer.by_hand(f"orders/{ref}", locked="false")
    assert peer.put("orders", external_id="b24:deal:1", title="Другая")["outcome"] == "updated"


def test_one_bad_item_never_spoils_the_others(peer):
    good = {"external_id": "b24:company:1", "name": "ООО Ромашка"}

    results = peer.upsert(
        "counterparties", {"name": "И"}, good, {"external_id": 42}, "text", None, {"external_id": "b24:deal:1"}
    )

    assert [one["outcome"] for one in results] == ["rejected", "created", *["rejected"] * 4]
    assert [one["index"] for one in results] == list(range(6))
    assert [one["external_id"] for one in results] == [None, "b24:company:1", None, None, None, "b24:deal:1"]


@pytest.mark.parametrize("external_id", ["b24:company:0", "b24:company:01", "b24:lead:1", "1", "b24:company:1 ", ""])
def test_external_id_of_another_kind_is_a_fault(peer, external_id):
    assert error_of(peer.put("counterparties", external_id=external_id, name="И")) == ("validation", "external_id")


def test_1c_cuts_the_spaces_at_the_end_of_a_name(peer):
    ref = peer.company(name="ООО Ромашка  ")["ref"]

    assert peer.get("counterparties", ref)["name"] == "ООО Ромашка"
    assert peer.company(name="ООО Ромашка ")["outcome"] == "unchanged"


def test_order_of_a_base_without_statuses_has_none():
    with running(capabilities=("counterparties", "orders")) as peer:
        assert peer.get("orders", peer.order()["ref"])["status"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"items": []}', b'{"items": {}}', b"{", b"\xff\xfe{}"])
def test_body_that_is_no_batch_is_malformed(peer, body):
    response = peer.call("POST", "/leads", data=body)

    assert response.status_code == 400
    assert response.json()["code"] == "malformed"


def test_body_may_begin_with_a_byte_order_mark(peer):
    body = b"\xef\xbb\xbf" + '{"items": [{"external_id": "b24:lead:1", "title": "Звонок"}]}'.encode()

    assert peer.call("POST", "/leads", data=body).json()["results"][0]["outcome"] == "created"


def test_more_items_than_max_batch_are_too_many():
    with running(max_batch=2) as peer:
        items = [{"external_id": f"b24:lead:{number}", "title": "Т"} for number in (1, 2, 3)]
        response = peer.call("POST", "/leads", json={"items": items})

        assert (response.status_code, response.json()["code"]) == (413, "too_many")
        assert peer.find("leads") == []
