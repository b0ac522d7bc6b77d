"""No secret is found anywhere after a run full of failures: logs, Flower, Redis, dead letters, the commands' output."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import redis

from tests.process.exchange import (
    APPLICATION_TOKEN,
    B24_SECRET,
    ONEC_PASSWORD,
    ROBOT_TOKEN,
    SIGNING_SECRET,
    Exchange,
    exchange,
    wait_until,
)

pytestmark = pytest.mark.process

SECRETS = (B24_SECRET, APPLICATION_TOKEN, ROBOT_TOKEN, ONEC_PASSWORD, SIGNING_SECRET)
FLOWER_AUTH = "operator:a-password-for-flower"
# seldom enough that the portal is not taken for being down
FAULTS = "http500=0.1x4,reset_after=0.1x4,reset_before=0.1x3,html=0.1x2,http502=0.1x2"


def spoken(text: str) -> list[str]:
    """The secrets that stand in the text, plainly or in base64, as broker messages carry their bodies."""
    forms = {secret: (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]) for secret in SECRETS}
    return [secret for secret, shapes in forms.items() if any(shape in text for shape in shapes)]


def dump(url: str) -> str:
    """Everything in one Redis database, message bodies decoded."""
    found = []
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            kind = client.type(key)
            read = {b"string": client.get, b"hash": client.hgetall, b"set": client.smembers}.get(kind)
            value = read(key) if read else client.lrange(key, 0, -1) if kind == b"list" else client.zrange(key, 0, -1)
            found.append(f"{key!r} {value!r}")
    return "\n".join(found)


def make_trouble(place: Exchange) -> list[int]:
    """Failures of every kind: faults on both sides, a wrong secret, a misfit, unreadable requests. Returns contacts."""
    place.portal.faults.replace(FAULTS)
    place.base.faults.replace(FAULTS)
    contacts = [
        place.portal_form("contacts", last_name=f"Человек{number}", email=f"trouble{number}@example.com")
        for number in range(10)
    ]
    robot = f"{place.ingress_url}/webhooks/bitrix24/robot?secret={ROBOT_TOKEN}"
    place.http.post(robot, data={"document_id[0]": "crm", "document_id[2]": "NOTHING_1"}, timeout=5)
    place.http.post(f"{robot}x", data={"document_id[2]": "DEAL_1"}, timeout=5)
    place.http.get(f"{place.ingress_url}/webhooks/bitrix24/robot?secret={ROBOT_TOKEN}&deal_id=999", timeout=5)
    event = {"event": "ONCRMCONTACTADD", "auth[application_token]": APPLICATION_TOKEN, "data[FIELDS][ID]": "none"}
    place.http.post(f"{place.ingress_url}/webhooks/bitrix24", data=event, timeout=5)
    return contacts


def end_trouble(place: Exchange, contacts: list[int]) -> None:
    """What failed often waits for minutes: an edit of each contact goes at once."""
    place.portal.faults.replace("")
    place.base.faults.replace("")
    for number, id_ in enumerate(contacts):
        place.portal_form(f"contacts/{id_}", last_name=f"Человек{number}", comments="после сбоя")


def test_no_secret_is_left_anywhere_after_failures(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    with exchange(folder) as place:
        flower_url = place.start_flower(FLOWER_AUTH)

        contacts = make_trouble(place)
        wait_until(lambda: place.worker.log().count("event_failed") > 10, what="much has failed")
        end_trouble(place, contacts)
        wait_until(lambda: len(place.parties()) == 10, what="all contacts arrived in the end")
        wrong = place.http.post(f"{place.portal_url}/rest/1/{B24_SECRET}/profile", json={}, timeout=5)
        operator = ("operator", FLOWER_AUTH.partition(":")[2])
        tasks = place.http.get(f"{flower_url}/api/tasks", auth=operator, timeout=10)
        letters = place.command("dead", "list", "--json")
        letter_id = json.loads(letters.stdout)["letters"][0]["id"]
        shown = place.command("dead", "show", letter_id, "--reveal")
        doctor = place.command("doctor")
        stored = dump(place.redis.url(0)) + dump(place.redis.url(1))

        assert wrong.ok, "the secret is the real one, so finding it nowhere means something"
        assert "event_failed" in place.worker.log(), "nothing failed, so nothing was proven"
        assert len(tasks.json()) > 10
        assert place.http.get(f"{flower_url}/api/tasks", timeout=10).status_code == 401
        assert spoken(tasks.text) == []
        assert spoken(letters.stdout + letters.stderr + shown.stdout + shown.stderr) == []
        assert spoken(doctor.stdout + doctor.stderr) == []
        assert spoken(stored) == []
    logs = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*.log"))
    assert len(logs) > 1000
    assert spoken(logs) == []


def test_flower_shows_ids_and_no_personal_data(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        flower_url = place.start_flower(FLOWER_AUTH)

        ref = place.onec_form("counterparties", kind="person", name="Тайная Персона", email="hidden@example.com")
        wait_until(lambda: place.portal_state()["contacts"], what="the contact arrived")
        wait_until(place.is_quiet, what="nothing waits any more")
        tasks = place.http.get(f"{flower_url}/api/tasks", auth=("operator", FLOWER_AUTH.partition(":")[2]), timeout=10)

        assert ref in tasks.text
        assert "Тайная" not in tasks.text
        assert "hidden@example.com" not in tasks.text + place.worker.log() + place.ingress.log()
