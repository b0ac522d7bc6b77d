from __future__ import annotations

import pytest

from sync_worker.cli.records import short_name
from sync_worker.domain.identity import parse_ref
from sync_worker.entities.named import RECORD_ENTITIES, read_record

UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.mark.parametrize(
    ("entity", "id_", "ref"),
    [
        ("contact", "42", "bitrix24:contact:42"),
        ("company", "42", "bitrix24:company:42"),
        ("lead", "42", "bitrix24:lead:42"),
        ("deal", "42", "bitrix24:deal:42"),
        ("invoice", "42", "bitrix24:invoice:42"),
        ("contact", UUID, f"onec:counterparty:{UUID}"),
        ("company", UUID, f"onec:counterparty:{UUID}"),
        ("counterparty", UUID, f"onec:counterparty:{UUID}"),
        ("lead", UUID, f"onec:lead:{UUID}"),
        ("deal", UUID, f"onec:order:{UUID}"),
        ("order", UUID, f"onec:order:{UUID}"),
        ("invoice", UUID, f"onec:invoice:{UUID}"),
    ],
)
def test_a_number_is_bitrix24s_and_a_uuid_is_1cs(entity: str, id_: str, ref: str) -> None:
    assert read_record(entity, id_) == parse_ref(ref)


def test_an_id_is_read_as_people_paste_it() -> None:
    assert read_record("contact", " 0042 ").id == "42"
    assert read_record("order", f" {UUID.upper()}\n").id == UUID


@pytest.mark.parametrize("entity", RECORD_ENTITIES)
@pytest.mark.parametrize("id_", ["", "-1", "4.2", "٤٢", "42a", UUID[:-1], UUID.replace("-", ""), f"{{{UUID}}}"])
def test_what_is_no_id_is_refused_with_what_one_looks_like(entity: str, id_: str) -> None:
    with pytest.raises(ValueError, match=f"{entity} has a .*UUID"):
        read_record(entity, id_)


@pytest.mark.parametrize(("entity", "instead"), [("counterparty", "contact or company 42"), ("order", "deal 42")])
def test_a_number_of_what_only_1c_has_is_refused_with_what_to_say_instead(entity: str, instead: str) -> None:
    with pytest.raises(ValueError, match=f"say {instead}"):
        read_record(entity, "42")


def test_an_unknown_entity_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="one of contact, company"):
        read_record("client", "42")


def test_a_record_in_a_column_is_short_and_says_its_system_by_its_form() -> None:
    assert short_name(read_record("contact", "42")) == "contact:42"
    assert short_name(read_record("order", UUID)) == "order:6f9619ff…"
    assert short_name(None) == "-"
