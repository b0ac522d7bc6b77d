"""Names of records."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.identity import (
    RecordRef,
    RecordType,
    System,
    bitrix24_ref,
    onec_ref,
    parse_external_id,
    parse_ref,
)
from sync_worker.domain.link import Link

DEAL = bitrix24_ref(RecordType.DEAL, 42)
ORDER = onec_ref(RecordType.ORDER, "0F8FAD5B-D9CB-469F-A165-70867728950E")


def test_a_ref_is_written_with_all_that_makes_it_unique() -> None:
    assert (str(DEAL), DEAL.key, DEAL.external_id) == ("bitrix24:deal:42", "deal:42", "b24:deal:42")


def test_a_ref_of_onec_is_lower_case() -> None:
    assert ORDER.id == "0f8fad5b-d9cb-469f-a165-70867728950e"


@given(st.builds(RecordRef, system=st.sampled_from(System), type=st.sampled_from(RecordType), id=st.text(min_size=1)))
def test_a_ref_is_read_as_it_was_written(ref: RecordRef) -> None:
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize("text", ["", "deal:42", "amo:deal:42", "bitrix24:thing:42"])
def test_what_is_no_ref_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_ref(text)


@given(type_=st.sampled_from(RecordType), id_=st.integers(1))
def test_an_external_id_is_read_as_it_was_written(type_: RecordType, id_: int) -> None:
    ref = bitrix24_ref(type_, id_)

    assert parse_external_id(ref.external_id) == ref


@pytest.mark.parametrize(
    "external_id",
    [None, "", "deal:42", "b24:deal", "b24:deal:42:7", "b24:deal:x", "b24:deal:", "b24:thing:42", "amo:deal:42"],
)
def test_what_is_no_external_id_names_nobody(external_id: str | None) -> None:
    assert parse_external_id(external_id) is None


def test_a_ref_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DEAL.id = "43"  # type: ignore[misc]


def test_a_link_has_two_sides_and_a_grave() -> None:
    link = Link(bitrix24=DEAL, onec=ORDER)

    assert (link.other(DEAL), link.other(ORDER)) == (ORDER, DEAL)
    assert link.bury(System.ONEC) == Link(bitrix24=DEAL, onec=ORDER, deleted_in=System.ONEC)
