from __future__ import annotations

import pytest

from sync_worker.cli.masking import encodable, hide, hide_in_text, hide_values, known_values, printable
from tests.contract.store_worlds import letter

UUID = "6f9619ff-8b86-d011-b42d-000000000042"


@pytest.mark.parametrize(
    "personal",
    [
        "anna.osipova@example.com",
        "+7 (495) 123-45-67",
        "8 495 123-45-67",
        "8(495)123-45-67",
        "+74951234567",
        "500100732259",
        "40702810900000000001",
        "Осипова Анна Петровна",
        "Осипова А. П.",
        "Петрова-Водкина Мария Ивановна",
    ],
)
def test_what_has_the_form_of_personal_data_goes(personal: str) -> None:
    assert hide_in_text(f"refused: {personal} is taken") == "refused: *** is taken"


@pytest.mark.parametrize(
    "text",
    [
        "both sides changed: name, phones",
        f"onec:counterparty:{UUID} matches bitrix24:company:1042, but is linked to {UUID}",
        "ERROR_CORE: Не заполнено обязательное поле «Номер телефона»",
        "1C status КОтгрузке has no stage in pipeline 12 of sync.toml",
        "closed at C1:WON since 2026-11-02 09:00:00",
        "the order comes to 1234567.89 in 1C and to 1234567.90 in the deal",
        "letter 01k2f7c3v0m8q5z",
    ],
)
def test_ids_dates_sums_and_names_of_fields_stay(text: str) -> None:
    assert hide_in_text(text) == text


def test_a_persons_name_in_quotes_goes() -> None:
    assert hide_in_text("Контрагент «Осипова Анна» уже есть") == "Контрагент «***» уже есть"


def test_a_message_loses_what_is_known_to_stand_in_its_record() -> None:
    details = {"fields": {"name": {"baseline": None, "bitrix24": "ООО Ромашка", "onec": ["Рога и копыта"]}}}
    filed = letter(details=details, words=("7707083893",))

    known = known_values(filed)

    assert known == {"ООО Ромашка", "Рога и копыта", "7707083893"}
    assert hide_in_text("ООО Ромашка or Рога и копыта", known) == "*** or ***"


def test_names_of_fields_and_emptiness_stay_and_values_go() -> None:
    values = {"name": {"baseline": None, "onec": "А"}, "phones": ["+7"], "emails": [], "addresses": [{"city": "Б"}]}

    assert hide(values) == {
        "name": {"baseline": None, "onec": "***"},
        "phones": ["***"],
        "emails": [],
        "addresses": [{"city": "***"}],
    }


def test_of_a_structure_only_values_go_whole() -> None:
    details = {"raw": {"data": {"ID": 7}}, "code": "ERROR_CORE", "errors": {"at": ["no a@b.ru"]}, "attempts": 3}

    assert hide_values(details) == {
        "raw": {"data": {"ID": "***"}},
        "code": "ERROR_CORE",
        "errors": {"at": ["no ***"]},
        "attempts": 3,
    }


def test_a_remotes_words_cannot_move_the_cursor_nor_break_the_output() -> None:
    assert printable("a\x1b[2Jb\r\nc\ud83d") == "a�[2Jb c�"
    assert encodable({"a": ["half \ud83d", 1]}) == {"a": ["half ?", 1]}
