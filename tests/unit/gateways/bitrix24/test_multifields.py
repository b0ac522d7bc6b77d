"""Phones and e-mails: what is sent so that exactly the wanted ones remain, by the portal's rules of 3.1."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.portal import multifields
from sandbox.portal.store import Store
from sync_worker.domain.values import normalise_email, normalise_phone
from sync_worker.gateways.bitrix24.schemas.multifield import changed_entries, new_entries, read_kinds, read_values

NUMBERS = [f"+7916000000{digit}" for digit in range(6)]
TYPED = st.sampled_from(["{}", " {} "]).flatmap(lambda form: st.sampled_from(NUMBERS).map(form.format))


def entries(*values: str, kind: str = "WORK") -> list[dict[str, str]]:
    return [{"ID": str(index), "VALUE": value, "VALUE_TYPE": kind} for index, value in enumerate(values, start=1)]


def after(before: list[dict[str, str]], sent: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What the sandbox's portal makes of it."""
    store = Store(next_multifield_id=100)
    record = {"PHONE": [{**entry, "ID": int(entry["ID"])} for entry in before]}
    changed = multifields.applied(store, record, multifields.classic_edits("PHONE", sent), unknown_adds=False)
    return changed.get("PHONE", record["PHONE"])


@given(before=st.lists(TYPED, max_size=6), wanted=st.lists(st.sampled_from(NUMBERS), unique=True))
def test_exactly_the_wanted_phones_remain(before, wanted):
    present = entries(*before)
    left = after(present, changed_entries(present, sorted(wanted), {}, normalise_phone))
    assert read_values(left, normalise_phone) == sorted(wanted)


@given(before=st.lists(TYPED, max_size=6))
def test_nothing_is_sent_where_nothing_differs(before):
    present = entries(*before)
    assert changed_entries(present, read_values(present, normalise_phone), {}, normalise_phone) == []


def test_kept_phone_is_left_as_its_person_typed_it():
    present = entries("8 (916) 000-00-00", "+79160000001")
    sent = changed_entries(present, ["+79160000000", "+79160000002"], {"+79160000002": "mobile"}, normalise_phone)
    assert sent == [{"ID": "2", "DELETE": "Y"}, {"VALUE": "+79160000002", "VALUE_TYPE": "MOBILE"}]


def test_text_that_is_no_email_stays():
    present = entries("уточнить у секретаря", "old@example.com")
    assert changed_entries(present, ["new@example.com"], {}, normalise_email) == [
        {"ID": "2", "DELETE": "Y"},
        {"VALUE": "new@example.com", "VALUE_TYPE": "WORK"},
    ]


@pytest.mark.parametrize(
    ("kind", "code"), [("work", "WORK"), ("mobile", "MOBILE"), ("home", "HOME"), ("fax", "FAX"), ("other", "OTHER")]
)
def test_kinds_there_and_back(kind, code):
    (entry,) = new_entries(["+79160000000"], {"+79160000000": kind})
    assert entry["VALUE_TYPE"] == code
    assert read_kinds([entry], normalise_phone) == {"+79160000000": kind}


def test_kind_that_we_have_not_is_other():
    assert read_kinds(entries("+79160000000", kind="PAGER"), normalise_phone) == {"+79160000000": "other"}


def test_key_that_the_portal_leaves_out_is_no_phone():
    assert read_values(None, normalise_phone) == []
    assert changed_entries(None, [], {}, normalise_phone) == []
