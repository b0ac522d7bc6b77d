"""A row of a list is what get gives: the same values of the same fields, so one list by ids stands for many gets."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import running

SELECT = ["*", "UF_*", "PHONE", "EMAIL"]
NEVER_LISTED = {"WEB", "IM", "LINK"}  # multifields have no mask, and these were not named
WAYS = {  # how records come to be: everything filled in, next to nothing, blanks of every kind
    "contact": [
        {
            "NAME": "Анна",
            "LAST_NAME": "Белова",
            "BIRTHDATE": "1990-05-17",
            "TYPE_ID": "CLIENT",
            "PHONE": [{"VALUE": "+7 900 000-00-01", "VALUE_TYPE": "MOBILE"}, {"VALUE": "8 (495) 000-00-02"}],
            "EMAIL": [{"VALUE": "Anna@Example.com", "VALUE_TYPE": "HOME"}],
            "WEB": [{"VALUE": "https://example.com"}],
            "COMPANY_ID": 1,
            "UF_CRM_1C_ID": "ref",
        },
        {"NAME": "Вера"},
        {"LAST_NAME": "", "NAME": "Глеб", "PHONE": [], "EMAIL": "", "COMPANY_ID": 0, "COMMENTS": None, "EXPORT": "N"},
    ],
    "company": [
        {
            "TITLE": "ООО «Ромашка & сыновья»",
            "REVENUE": "1234.5",
            "INDUSTRY": "IT",
            "PHONE": [{"VALUE": "+7 900 000-00-03"}],
            "IS_MY_COMPANY": "Y",
            "UF_CRM_1C_ID": "ref",
        },
        {"TITLE": ""},
        {"TITLE": "x", "REVENUE": "", "CURRENCY_ID": "", "BANKING_DETAILS": "a\nb", "EMAIL": [{"VALUE": "a@b.ru"}]},
    ],
    "lead": [
        {"TITLE": "Запрос", "STATUS_ID": "CONVERTED", "OPPORTUNITY": 10.005, "PHONE": [{"VALUE": "1"}]},
        {"NAME": "Анна", "CONTACT_ID": 1, "COMPANY_ID": 1, "BIRTHDATE": "11.11.2001", "UF_CRM_1C_ID": ""},
        {"TITLE": "x", "STATUS_ID": "JUNK", "OPPORTUNITY": None, "EMAIL": [{"VALUE": "a@b.ru"}]},
    ],
    "deal": [
        {"TITLE": "Стол", "OPPORTUNITY": "15000.10", "STAGE_ID": "WON", "CONTACT_IDS": [1, 2], "UF_CRM_1C_ID": "ref"},
        {},
        {"TITLE": "", "BEGINDATE": "2026-01-02", "CLOSEDATE": "", "PROBABILITY": 0, "COMPANY_ID": 1, "OPENED": "N"},
    ],
}


@pytest.fixture(scope="module")
def peer():
    with running(with_user_fields=True) as peer:
        extra = [
            {"USER_TYPE_ID": "boolean", "FIELD_NAME": "IS_KNOWN"},
            {"USER_TYPE_ID": "double", "FIELD_NAME": "WEIGHT"},
            {"USER_TYPE_ID": "string", "FIELD_NAME": "MANY", "MULTIPLE": "Y"},
            {"USER_TYPE_ID": "datetime", "FIELD_NAME": "SEEN_AT"},
        ]
        for kind in WAYS:
            for field in extra:
                peer.call(f"crm.{kind}.userfield.add", fields=field)
        for kind in ("company", "contact", "lead", "deal"):
            _add_in_all_ways(peer, kind)
        yield peer


def _add_in_all_ways(peer, kind: str) -> None:
    for fields in WAYS[kind]:
        peer.call(f"crm.{kind}.add", fields=fields)
    more = {"UF_CRM_IS_KNOWN": "1", "UF_CRM_WEIGHT": "1.50", "UF_CRM_MANY": ["a", "b"], "UF_CRM_SEEN_AT": "2026-01-02"}
    peer.call(f"crm.{kind}.add", fields={"TITLE": "x", "NAME": "x", **more})
    type_id = {"lead": 1, "deal": 2, "contact": 3, "company": 4}[kind]
    fm = [{"typeId": "PHONE", "valueType": "FAX", "value": "+7 900 000-00-04"}]
    item = peer.item(type_id, title="как элемент", name="Иван", opportunity=5, fm=fm)
    batch = peer.batch(a=f"crm.{kind}.add?fields[NAME]=Ольга&fields[TITLE]=Ольга&fields[PHONE][0][VALUE]=2")
    peer.call(f"crm.{kind}.update", id=batch["result"]["a"], fields={"COMMENTS": "дважды", "UF_CRM_1C_ID": "z"})
    peer.call("crm.item.update", entityTypeId=type_id, id=item["id"], fields={"sourceDescription": "z", "fm": {}})


@pytest.mark.parametrize("kind", list(WAYS))
def test_row_of_a_list_is_what_get_gives(peer, kind):
    ids = list(range(1, len(WAYS[kind]) + 4))
    rows = peer.call(f"crm.{kind}.list", filter={"@ID": ids}, order={"ID": "ASC"}, start=-1, select=SELECT)
    assert [row["ID"] for row in rows] == [str(one) for one in ids]
    for row in rows:
        got = peer.call(f"crm.{kind}.get", id=row["ID"])
        expected = {name: value for name, value in got.items() if name not in NEVER_LISTED}
        assert row == expected


def test_multifields_of_a_list_have_id_type_and_kind_and_no_key_when_empty(peer):
    first, second = peer.call("crm.contact.list", filter={"@ID": [1, 2]}, order={"ID": "ASC"}, start=-1, select=SELECT)
    assert [set(entry) for entry in first["PHONE"]] == [{"ID", "VALUE_TYPE", "VALUE", "TYPE_ID"}] * 2
    assert {"PHONE", "EMAIL"}.isdisjoint(second)
    assert "WEB" not in first


def test_fifty_ids_in_one_list_and_the_missing_are_left_out():
    with running() as peer:
        for number in range(60):
            peer.call("crm.deal.add", fields={"TITLE": str(number)})
        peer.call("crm.deal.delete", id=7)
        wanted = [*range(50, 1, -1), 99]
        body = peer.body("crm.deal.list", filter={"@ID": wanted}, order={"ID": "ASC"}, start=-1, select=SELECT)
    assert [int(row["ID"]) for row in body["result"]] == [one for one in range(2, 51) if one != 7]
    assert (body["total"], "next" in body) == (0, False)


def test_requisite_of_a_list_is_what_get_gives():
    with running() as peer:
        peer.call("crm.requisite.userfield.add", fields={"USER_TYPE_ID": "string", "FIELD_NAME": "NOTE"})
        company_id = peer.call("crm.company.add", fields={"TITLE": "ООО"})
        owner = {"ENTITY_TYPE_ID": 4, "ENTITY_ID": company_id, "PRESET_ID": 1}
        for fields in ({"RQ_INN": "7700000000", "UF_CRM_NOTE": "x"}, {"ACTIVE": "N", "RQ_KPP": ""}, {"SORT": "10"}):
            peer.call("crm.requisite.add", fields={"NAME": "Реквизит", **owner, **fields})
        peer.call("crm.requisite.update", id=2, fields={"RQ_OGRN": "1"})
        ask = {"filter": {"@ID": [3, 2, 1, 8]}, "order": {"ID": "ASC"}, "start": -1}
        rows = peer.call("crm.requisite.list", select=["*", "UF_*"], **ask)
        assert rows == [peer.call("crm.requisite.get", id=one) for one in (1, 2, 3)]
        assert peer.call("crm.requisite.list", **ask) == rows
        assert "UF_CRM_NOTE" not in peer.call("crm.requisite.list", select=["*"], **ask)[0]
        assert peer.call("crm.requisite.list", select=["ID", "UF_*"], **ask)[0] == {"ID": "1", "UF_CRM_NOTE": "x"}
