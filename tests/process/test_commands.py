"""The commands, as an operator runs them beside a running exchange."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.exchange import exchange, wait_until
from tests.services import ROOT, free_port

pytestmark = pytest.mark.process


def test_demo_once_exits_0_with_every_flow_arrived(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from sync_worker.cli import main; main()",
            "demo",
            "--once",
            "--var",
            tmp_path / "demo",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "every flow arrived" in done.stdout
    assert "never arrived" not in done.stdout
    assert "refused by the portal for speed: 0" in done.stdout


def test_demo_empties_no_folder_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", "from sync_worker.cli import main; main()", "demo", "--once", "--var", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "no demo made" in done.stderr
    assert (tmp_path / "precious").exists()


def test_a_conflict_is_listed_shown_masked_and_replayed(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        ref = place.onec_form("counterparties", kind="company", name="ООО Спор", inn="7707083893")
        company = wait_until(
            lambda: next((c for c in place.portal_state()["companies"] if c["UF_CRM_1C_ID"] == ref), None)
        )
        wait_until(place.is_quiet, what="nothing waits any more")
        place.base.faults.replace("event_loss:counterparty.changed=1x1")
        place.onec_form(f"counterparties/{ref}", name="ООО Спор из 1С")
        place.portal_form(f"companies/{company['ID']}", title="ООО Спор из Битрикса")
        letters = wait_until(lambda: json.loads(place.command("dead", "list", "--json").stdout)["letters"])

        masked = place.command("dead", "show", letters[0]["id"])
        revealed = place.command("dead", "show", letters[0]["id"], "--reveal")
        place.portal_form(f"companies/{company['ID']}", title="ООО Спор из 1С")
        wait_until(place.is_quiet, what="the edit waits behind the letter")
        replayed = place.command("dead", "replay", letters[0]["id"])
        wait_until(lambda: "no dead letters" in place.command("dead", "list").stdout, what="the letter is settled")

        assert [letter["cause"] for letter in letters] == ["field_conflict"]
        assert letters[0]["record"] == {"system": "bitrix24", "type": "company", "id": company["ID"]}
        assert letters[0]["ref"] == f"onec:counterparty:{ref}"
        assert "Битрикса" not in masked.stdout
        assert "Битрикса" in revealed.stdout
        assert replayed.returncode == 0
        assert place.parties()[0]["name"] == "ООО Спор из 1С"


def test_setup_makes_the_fields_once_and_doctor_agrees(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        before = place.command("setup", "--dry-run")
        doctor = place.command("doctor", "--json")

        assert "there on contacts, companies, leads and deals" in before.stdout
        assert "ONCRMCONTACTADD" in before.stdout
        findings = {one["check"]: one for one in json.loads(doctor.stdout)["findings"]}
        assert findings["Bitrix24 UF_CRM_1C_ID of deal"]["ok"]
        assert findings["1C answers"]["ok"]


def test_up_starts_a_dead_worker_again_and_stops_cleanly(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        environment = {**os.environ, **place.environment, "SYNC_VAR": str(tmp_path / "up")}
        environment |= {"INGRESS_BIND": f"127.0.0.1:{free_port()}", "FLOWER_BIND": f"127.0.0.1:{free_port()}"}
        for name in ("REDIS_URL", "BROKER_URL"):
            environment.pop(name)
        up = subprocess.Popen(
            [sys.executable, "-c", "from sync_worker.cli import main; main()", "up"],
            env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert up.stdout is not None
            assert "ingress" in up.stdout.readline()
            log = tmp_path / "up" / "log" / "worker1.log"
            worker = _child_of(up.pid, "celery", "worker1@%h")
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: log.read_text().count("worker1@") > 1 and log.read_text().count(" ready.") >= 2)

            up.send_signal(signal.SIGINT)

            assert up.wait(timeout=60) == 0
            assert not _children_with(str(tmp_path / "up"))
        finally:
            up.kill()
            up.communicate()


def test_up_takes_the_redis_that_a_dotenv_file_names(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        given = {**place.environment, "SYNC_VAR": str(tmp_path / "up"), "FLOWER_BIND": f"127.0.0.1:{free_port()}"}
        given |= {"INGRESS_BIND": f"127.0.0.1:{free_port()}"}
        text = "".join(f"{name}='{value}'\n" for name, value in given.items())
        (tmp_path / ".env").write_text(text, encoding="utf-8")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        up = subprocess.Popen(
            [sys.executable, "-c", "from sync_worker.cli import main; main()", "up"],
            env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert up.stdout is not None
            assert "ingress" in up.stdout.readline()

            assert not (tmp_path / "up" / "redis").exists(), "a Redis of its own was started beside the given one"
        finally:
            up.send_signal(signal.SIGINT)
            up.communicate(timeout=60)


def test_up_names_the_port_that_is_taken(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        place.environment |= {"INGRESS_BIND": f"127.0.0.1:{place.ingress.port}", "FLOWER_BIND": "127.0.0.1:1"}

        done = place.command("up")

        assert done.returncode == 1
        assert f"127.0.0.1:{place.ingress.port} is taken" in done.stderr
        assert "INGRESS_BIND" in done.stderr


def test_wrong_settings_are_told_in_one_message_without_a_traceback(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "ONEC_URL": "http://1c.example.com/base", "SYNC_CONFIG": "nowhere.toml"}

    done = subprocess.run(
        [sys.executable, "-c", "from sync_worker.cli import main; main()", "doctor"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for name in ("B24_WEBHOOK_URL", "ONEC_PASSWORD", "ONEC_WEBHOOK_SECRETS", "loopback", "nowhere.toml"):
        assert name in done.stderr


def _processes() -> list[tuple[int, int, str]]:
    """(pid, parent, command line) of everything that runs here."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_text().replace("\0", " ")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            found.append((int(folder.name), parent, command))
    return found


def _child_of(ancestor: int, *words: str) -> int:
    parents = {pid: parent for pid, parent, _ in _processes()}

    def descends(pid: int) -> bool:
        while pid in parents:
            if parents[pid] == ancestor:
                return True
            pid = parents[pid]
        return False

    return next(
        pid
        for pid, _, command in _processes()
        if descends(pid) and all(f" {word} " in f" {command} " for word in words)
    )


def _children_with(text: str) -> list[str]:
    return [command for _, _, command in _processes() if text in command and "pytest" not in command]
