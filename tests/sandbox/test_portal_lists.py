"""Pages, filters, order and select."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running


def add_contacts(peer, count):
    for begin in range(0, count, 50):
        names = range(begin, min(begin + 50, count))
        peer.batch(**{f"c{index}": f"crm.contact.add?fields[NAME]=Имя {index}" for index in names})


def test_pages_of_50_with_total_and_next_until_the_last():
    with running() as peer:
        add_contacts(peer, 120)
        pages = [peer.body("crm.contact.list", start=start, select=["ID"]) for start in (0, 50, 100)]
    assert [len(page["result"]) for page in pages] == [50, 50, 20]
    assert [page.get("next") for page in pages] == [50, 100, None]
    assert [page["total"] for page in pages] == [120] * 3
    assert "next" not in pages[-1]


def test_start_minus_one_gives_total_0_and_no_next():
    with running() as peer:
        add_contacts(peer, 60)
        page = peer.body("crm.contact.list", start=-1)
    assert (len(page["result"]), page["total"], "next" in page) == (50, 0, False)


def test_paging_by_id_sees_every_record_once():
    with running() as peer:
        add_contacts(peer, 130)
        seen, last = [], 0
        while True:
            found = peer.call("crm.contact.list", start=-1, order={"ID": "ASC"}, filter={">ID": last}, select=["ID"])
            seen += [int(record["ID"]) for record in found]
            if len(found) < 50:
                break
            last = found[-1]["ID"]
    assert seen == list(range(1, 131))


def test_paging_of_items_by_id_reads_each_record_once():
    """10,000 contacts in 201 pages: what is read grows with the pages, not with their square."""
    with running() as peer:
        table = peer.portal.store.table(3)
        for number in range(1, 10_001):
            table.put({"NAME": f"Имя {number}", "ID": number})
        read = CountingRows(table.rows)
        table.rows = read
        last = 0
        while found := peer.call("crm.item.list", entityTypeId=3, start=-1, filter={">id": last}, select=["id"])[
            "items"
        ]:
            last = found[-1]["id"]
    assert last == 10_000
    assert read.count <= 10_000 + 51


class CountingRows(dict):
    count = 0

    def __getitem__(self, key):
        self.count += 1
        return super().__getitem__(key)


@pytest.fixture(scope="module")
def leads():
    with running() as peer:
        for title, amount, comment in (
            ("Альфа", 100, "x"),
            ("Бета", 200, ""),
            ("Гамма", 300, "x"),
            ("альфабет", 400, ""),
        ):
            peer.call("crm.lead.add", fields={"TITLE": title, "OPPORTUNITY": amount, "COMMENTS": comment})
        yield peer


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"TITLE": "альфа"}, [1]),
        ({"=TITLE": "Альфа"}, [1]),
        ({"TITLE": ["Альфа", "Бета"]}, [1, 2]),
        ({"@TITLE": ["Альфа", "Бета"]}, [1, 2]),
        ({"!@TITLE": ["Альфа", "Бета"]}, [3, 4]),
        ({"!TITLE": "Альфа"}, [2, 3, 4]),
        ({"!=TITLE": "Альфа"}, [2, 3, 4]),
        ({"%TITLE": "льф"}, [1, 4]),
        ({"=%TITLE": "альфа%"}, [1, 4]),
        ({"%=TITLE": "%ета"}, [2]),
        ({"!%TITLE": "льф"}, [2, 3]),
        ({"!=%TITLE": "альфа%"}, [2, 3]),
        ({">OPPORTUNITY": 200}, [3, 4]),
        ({">=OPPORTUNITY": 200, "<OPPORTUNITY": 400}, [2, 3]),
        ({"<=OPPORTUNITY": "100.00"}, [1]),
        ({"COMMENTS": ""}, [2, 4]),
        ({"!COMMENTS": ""}, [1, 3]),
        ({"!COMMENTS": None}, [1, 3]),
        ({">ID": 1, "<ID": 4}, [2, 3]),
        ({"ID": [4, 1, 99]}, [1, 4]),
        ({"@ID": [4, 1], "TITLE": "Альфа"}, [1]),
        ({">DATE_CREATE": "2020-01-01T00:00:00+03:00"}, [1, 2, 3, 4]),
        ({"<DATE_CREATE": "2020-01-01T00:00:00+03:00"}, []),
        ({"NOBODY_KNOWS": 5}, [1, 2, 3, 4]),
    ],
)
def test_filter_prefixes(leads, filter_, expected):
    found = leads.call("crm.lead.list", filter=filter_, order={"ID": "ASC"}, select=["ID"])
    assert [int(record["ID"]) for record in found] == expected


def test_order_by_several_fields_both_ways(leads):
    found = leads.call("crm.lead.list", order={"COMMENTS": "DESC", "OPPORTUNITY": "DESC"}, select=["ID"])
    assert [record["ID"] for record in found] == ["3", "1", "4", "2"]
    assert [record["ID"] for record in leads.call("crm.lead.list", order={"ID": "DESC"}, select=["ID"])] == list("4321")


def test_modification_dates_filter_to_the_second(leads):
    stamp = leads.call("crm.lead.get", id=1)["DATE_MODIFY"]
    found = leads.call("crm.lead.list", filter={">=DATE_MODIFY": stamp, "ID": 1}, select=["ID"])
    assert found == [{"ID": "1"}]
    assert leads.call("crm.lead.list", filter={">DATE_MODIFY": stamp, "ID": 1}, select=["ID"]) == []


def test_star_selects_neither_user_fields_nor_multifields():
    with running(with_user_fields=True) as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна", "PHONE": [{"VALUE": "+7 900"}], "UF_CRM_1C_ID": "x"})
        starred = peer.call("crm.contact.list", select=["*"])[0]
        default = peer.call("crm.contact.list")[0]
        both = peer.call("crm.contact.list", select=["*", "UF_*", "PHONE", "EMAIL"])[0]
    assert {"PHONE", "UF_CRM_1C_ID"}.isdisjoint(starred)
    assert ("UF_CRM_1C_ID" in default, "PHONE" in default) == (True, False)
    assert both["PHONE"][0]["VALUE"] == "+7 900"
    assert "EMAIL" not in both


def test_multifields_filter_on_exact_match_only():
    with running() as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна", "EMAIL": [{"VALUE": "anna@example.com"}]})
        assert len(peer.call("crm.contact.list", filter={"EMAIL": "anna@example.com"})) == 1
        assert peer.call("crm.contact.list", filter={"EMAIL": "anna"}) == []


def test_user_field_filter_finds_by_value_and_by_emptiness():
    with running(with_user_fields=True) as peer:
        for value in ("a", "b", ""):
            peer.call("crm.deal.add", fields={"TITLE": value, "UF_CRM_1C_ID": value})
        ask = {"select": ["ID"], "order": {"ID": "ASC"}}
        assert peer.call("crm.deal.list", filter={"=UF_CRM_1C_ID": "b"}, **ask) == [{"ID": "2"}]
        assert peer.call("crm.deal.list", filter={"UF_CRM_1C_ID": ""}, **ask) == [{"ID": "3"}]
        peer.call("crm.deal.update", id=2, fields={"UF_CRM_1C_ID": "c"})
        assert peer.call("crm.deal.list", filter={"=UF_CRM_1C_ID": "b"}, **ask) == []
        assert peer.call("crm.deal.list", filter={"=UF_CRM_1C_ID": ["c", "a"]}, **ask) == [{"ID": "1"}, {"ID": "2"}]


def test_items_filter_nests_with_logic_or():
    with running() as peer:
        for name, last_name in (("Анна", ""), ("", "Белова"), ("Вера", "Белова")):
            peer.item(1, title="x", name=name, lastName=last_name)
        ask = {"entityTypeId": 1, "order": {"id": "ASC"}, "select": ["id"]}
        either = {"0": {"logic": "OR", "0": {"=name": "Анна"}, "1": {"=lastName": "Белова"}}, "!name": "Вера"}
        assert [item["id"] for item in peer.call("crm.item.list", filter=either, **ask)["items"]] == [1, 2]
        both = [{"logic": "AND", "0": {"=name": "Вера"}, "1": {"=lastName": "Белова"}}]
        assert [item["id"] for item in peer.call("crm.item.list", filter=both, **ask)["items"]] == [3]


def test_items_refuse_an_unknown_filter_or_order_field():
    with running() as peer:
        answer = peer.refused("crm.item.list", entityTypeId=1, filter={"FIELD": 1})
        assert answer == (400, "INVALID_ARG_VALUE", "Invalid filter: field 'FIELD' is not allowed in filter")
        assert peer.refused("crm.item.list", entityTypeId=1, order={"nothing": "ASC"})[1] == "INVALID_ARG_VALUE"
