from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console

from sync_worker.cli.letters_shown import LEAST_MESSAGE, advice_for, is_under_way, letter_table
from sync_worker.errors import all_causes
from sync_worker.sync.office import LOST_AFTER
from tests.contract.store_worlds import COUNTERPARTY, NOON, letter

IDS = tuple(f"1m6e22wg00bhyf{number}" for number in range(3))
WORDS = "ERROR_CORE: [red]не[/] заполнено\nполе \x1b[2J «Телефон» " * 9


def printed(width: int) -> list[str]:
    letters = [letter(id=id_, message=WORDS, cause="remote_rejected", record=COUNTERPARTY) for id_ in IDS]
    screen = Console(width=width, file=io.StringIO(), color_system=None)
    screen.print(letter_table(letters, reveal=False, now=NOON, width=width))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [90, 109, 110, 123, 124, 140, 300])
def test_a_letter_is_one_line_with_all_its_cells_and_a_message_that_is_cut(width: int) -> None:
    _, *lines = printed(width)

    assert len(lines) == len(IDS)
    for id_, line in zip(IDS, lines, strict=True):
        assert id_ in line
        assert "counterparty:6f9619ff…" in line
        assert "remote_rejected" in line
        assert "ERROR_CORE: [red]не" in line
        assert "\x1b" not in line
        assert len(line) <= width


def test_the_message_has_some_room_however_narrow_the_terminal_is() -> None:
    assert WORDS[: LEAST_MESSAGE - 1] in printed(85)[1]


def test_a_letter_that_is_being_replayed_is_marked_until_it_is_lost() -> None:
    sent = letter(sent_at=NOON)

    assert is_under_way(sent, NOON + LOST_AFTER - timedelta(seconds=1))
    assert not is_under_way(sent, NOON + LOST_AFTER)
    assert not is_under_way(letter(), NOON)


@pytest.mark.parametrize("cause", [*all_causes(), "internal_error"])
def test_every_cause_has_a_next_step(cause: str) -> None:
    assert advice_for(cause).endswith(".")
