from __future__ import annotations

import os
from pathlib import Path

import pytest

from sync_worker.cli.rules_file import NotWrittenError, with_owners, write_owners
from sync_worker.domain.rules import Owner
from sync_worker.sync.office import owner_rules
from sync_worker.sync_toml import load_rules
from tests.services import ROOT

EXAMPLE = (ROOT / "sync.example.toml").read_text(encoding="utf-8")
NAME_IS_1CS = {"name": Owner.ONEC}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sync.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


def owner_of(path: Path, field: str) -> Owner:
    rules, faults = load_rules(path)
    assert faults == []
    assert rules is not None
    return rules.counterparties.owners[field]


def test_one_line_changes_and_everything_else_stays() -> None:
    before, after = EXAMPLE.splitlines(), with_owners(EXAMPLE, NAME_IS_1CS).splitlines()

    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]

    assert changed == [('name = "shared"', 'name = "onec"')]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[owners.counterparty]\nname = "onec"\n'),
        ("[leads]\n", '[leads]\n\n[owners.counterparty]\nname = "onec"\n'),
        ("[owners.counterparty]\nname = 'shared'  # asked\n", '[owners.counterparty]\nname = "onec"  # asked\n'),
        (
            "[owners.counterparty]\ninn = 'onec'\n\n# about leads\n[leads]\n",
            "[owners.counterparty]\ninn = 'onec'\nname = \"onec\"\n\n# about leads\n[leads]\n",
        ),
        ("[owners]\ncounterparty = {}  # none\n", '[owners]\ncounterparty = {name = "onec"}  # none\n'),
        (
            "owners.counterparty.inn = 'onec'\n",
            "owners.counterparty.inn = 'onec'\nowners.counterparty.name = \"onec\"\n",
        ),
        ("[leads]\r\n", '[leads]\r\n\r\n[owners.counterparty]\r\nname = "onec"\r\n'),
    ],
    ids=["empty", "no table", "comment", "comment of the next table", "inline", "dotted", "Windows' line ends"],
)
def test_an_owner_is_put_where_a_person_would(before: str, after: str) -> None:
    assert with_owners(before, NAME_IS_1CS) == after


def test_what_was_written_is_in_force(path: Path) -> None:
    path.chmod(0o640)

    assert write_owners(path, {"name": Owner.BITRIX24, "comment": Owner.ONEC})

    assert (owner_of(path, "name"), owner_of(path, "comment")) == (Owner.BITRIX24, Owner.ONEC)
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(path.parent) == ["sync.toml"]


def test_what_the_file_says_already_is_not_written_again(path: Path) -> None:
    assert not write_owners(path, {"name": Owner.SHARED})


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.toml"
    link.parent.mkdir()
    link.symlink_to(path)

    write_owners(link, NAME_IS_1CS)

    assert link.is_symlink()
    assert owner_of(path, "name") is Owner.ONEC


def test_a_read_only_file_is_left_alone(path: Path) -> None:
    path.chmod(0o444)

    with pytest.raises(NotWrittenError, match="read-only"):
        write_owners(path, NAME_IS_1CS)

    assert path.read_text(encoding="utf-8") == EXAMPLE


@pytest.mark.parametrize("text", ["owners = 3\n", "[owners\n", "[typo]\n"])
def test_a_file_with_faults_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

    with pytest.raises(NotWrittenError):
        write_owners(path, NAME_IS_1CS)

    assert path.read_text(encoding="utf-8") == text
    assert os.listdir(path.parent) == ["sync.toml"]


def test_a_field_that_has_no_owner_is_refused_before_the_file_is_touched(path: Path) -> None:
    with pytest.raises(NotWrittenError, match=r"sync\.toml: owners\.counterparty\.colour: unknown key"):
        write_owners(path, {"colour": Owner.ONEC})

    assert path.read_text(encoding="utf-8") == EXAMPLE


def test_no_file_is_made_out_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotWrittenError, match="not there"):
        write_owners(tmp_path / "sync.toml", NAME_IS_1CS)


def test_the_rule_is_shown_as_it_would_stand_in_the_file() -> None:
    text = owner_rules({"phones": Owner.BITRIX24, "name": Owner.ONEC})

    assert text == '[owners.counterparty]\nname = "onec"\nphones = "bitrix24"\n'
    assert with_owners("", {"name": Owner.ONEC, "phones": Owner.BITRIX24}) == text
