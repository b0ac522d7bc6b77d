"""Commands of a batch, read back by the sandbox's own bracket parser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.portal.batch import method_of, resolved
from sandbox.portal.params import parse_query
from sync_worker.gateways.bitrix24.query import Result, command_text, has_reference_text, references
from sync_worker.gateways.bitrix24.query import resolved as resolved_here

KEYS = st.text(alphabet="abcXYZ_019=>!%@.", min_size=1, max_size=8)
SCALARS = st.one_of(
    st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=20),
    st.sampled_from(["a&b", "50%", "1+1", "#", "a=b", "[x]", "Ромашка & Ко", "%26", "a\nb", '"', "$result"]),
    st.integers(),
    st.booleans(),
    st.none(),
)
PARAMS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=4), st.dictionaries(KEYS, inner, min_size=1, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=4,
)


def as_php(value: Any) -> Any:
    """What PHP has of it: texts everywhere, and maps keyed 0..n-1 are lists."""
    if isinstance(value, dict):
        read = {key: as_php(item) for key, item in value.items()}
        return list(read.values()) if list(read) == [str(index) for index in range(len(read))] else read
    if isinstance(value, list):
        return [as_php(item) for item in value]
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def read_command(text: str) -> dict[str, Any]:
    return parse_query(text.partition("?")[2])


@given(PARAMS)
def test_any_parameters_come_back_as_they_were(params):
    text = command_text("crm.item.list", params)
    assert method_of(text) == "crm.item.list"
    assert read_command(text) == {key: as_php(value) for key, value in params.items()}


@pytest.mark.parametrize("value", ["A&B", "100%", "1 + 1", "#1", "a=b", "[1]", "ООО «Ромашка»", "a%26b", "?x", "\n"])
def test_value_that_a_query_would_take_apart_survives(value):
    text = command_text("crm.company.update", {"fields": {"TITLE": value, "NEXT": "1"}})
    assert read_command(text) == {"fields": {"TITLE": value, "NEXT": "1"}}


def test_operators_stay_in_filter_keys():
    text = command_text("crm.item.list", {"filter": {"=xmlId": "1", ">=DATE_MODIFY": "2", "!%NAME": "3"}})
    assert read_command(text) == {"filter": {"=xmlId": "1", ">=DATE_MODIFY": "2", "!%NAME": "3"}}


def test_reference_is_resolved_after_it_was_decoded():
    text = command_text("crm.address.list", {"filter": {"ENTITY_ID": "$result[requisites][0][ID]"}})
    results = {"requisites": [{"ID": "57"}]}
    assert resolved(read_command(text), results) == {"filter": {"ENTITY_ID": "57"}}


def test_empty_list_is_sent_as_an_empty_value_because_it_clears():
    assert command_text("crm.deal.update", {"fields": {"CONTACT_IDS": []}}) == "crm.deal.update?fields[CONTACT_IDS]="


def test_method_without_parameters_has_no_question_mark():
    assert command_text("profile", {}) == "profile"


PATHS = [(), (0, "ID"), (1, "ID"), (0, "NAME"), (0, "ID", "X"), ("ID",)]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("results", [{"g0_rows": [{"ID": "57"}]}, {"g0_rows": []}, {}])
def test_reference_resolved_here_is_what_the_portal_makes_of_it(path, results):
    reference = Result("rows", path)
    there = resolved(read_command(command_text("m", {"id": [reference]}, prefix="g0_")), results)
    here = resolved_here({"id": (reference,)}, {key.removeprefix("g0_"): value for key, value in results.items()})
    assert as_php(here) == as_php(there)


def test_references_are_found_wherever_they_stand():
    params = {"id": Result("a"), "fields": {"X": [1, Result("b", ("ID",))], "Y": "text"}}
    assert {reference.key for reference in references(params)} == {"a", "b"}


@pytest.mark.parametrize(
    ("value", "looks_so"),
    [({"A": ["x", {"B": "см. $result[a]"}]}, True), ({"A": "$result"}, False), (Result("a"), False), (5, False)],
)
def test_text_that_looks_like_a_reference_is_seen(value, looks_so):
    assert has_reference_text(value) is looks_so
