"""How soon the other side follows when nothing else is going on: `python -m benchmarks.latency`.

From the moment a person saves a form until the other side holds the record, through real webhook, ingress, queue,
worker and HTTP. Beside it, in the same run, the same calls made by a plain script one after another, with nothing
in between: the ratio is what safety and queueing cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth
from rich.console import Console
from rich.table import Table

from tests.process.exchange import B24_SECRET, ONEC_PASSWORD, Exchange, wait_until

ROUNDS = 30
LOOK_SECONDS = 0.002


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Exchange(Path(folder)) as place:
        warm_up(place)
        to_onec = [seconds_until(lambda n=n: add_contact(place, n), place) for n in range(ROUNDS)]
        to_bitrix24 = [seconds_until(lambda n=n: add_party(place, n), place) for n in range(ROUNDS)]
        plain = [plain_script(place, n) for n in range(ROUNDS)]
        memory = {name: resident_mb(process) for name, process in (("worker", place.worker), ("beat", place.beat))}
    show({"Bitrix24 → 1C, contact": to_onec, "1C → Bitrix24, company": to_bitrix24, "the same calls, plain": plain})
    for name, megabytes in memory.items():
        print(f"{name} process, idle after the run: {megabytes:.0f} MB")


def warm_up(place: Exchange) -> None:
    """The first event builds the worker and fills its directories."""
    seconds_until(lambda: add_contact(place, 9999), place)


def add_contact(place: Exchange, number: int) -> Callable[[], Any]:
    id_ = place.portal_form("contacts", last_name=f"Задержкин{number}", email=f"late{number}@example.com")
    return lambda: any(party["external_id"] == f"b24:contact:{id_}" for party in place.parties())


def add_party(place: Exchange, number: int) -> Callable[[], Any]:
    ref = place.onec_form("counterparties", kind="company", name=f"ООО Задержка {number}")
    return lambda: any(card.get("UF_CRM_1C_ID") == ref for card in place.portal_state()["companies"])


def seconds_until(act: Callable[[], Callable[[], Any]], place: Exchange) -> float:
    """From the answer to the form, after which the webhook is sent, to the record on the other side."""
    started = time.perf_counter()
    look = act()
    while not look():
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - started
    wait_until(place.is_quiet, what="echoes are through")
    return seconds


def plain_script(place: Exchange, number: int) -> float:
    """What the flow calls, one after another: form, read, look, create, write back."""
    bitrix24 = f"{place.portal_url}/rest/1/{B24_SECRET}"
    onec = f"{place.onec_url}/base/hs/crm-exchange/v1"
    auth = HTTPBasicAuth("Обмен".encode(), ONEC_PASSWORD.encode())
    started = time.perf_counter()
    id_ = place.portal_form("contacts", last_name=f"Простов{number}")
    requests.post(f"{bitrix24}/crm.contact.get", json={"id": id_}, timeout=10).raise_for_status()
    requests.post(f"{bitrix24}/crm.requisite.list", json={"filter": {"ENTITY_ID": id_}}, timeout=10).raise_for_status()
    external_id = f"b24:contact:{id_}"
    requests.get(f"{onec}/counterparties?external_id={external_id}", auth=auth, timeout=10).raise_for_status()
    item = {"external_id": external_id, "kind": "person", "name": f"Простов{number}"}
    made = requests.post(f"{onec}/counterparties", json={"items": [item]}, auth=auth, timeout=10).json()["results"][0]
    seconds = time.perf_counter() - started
    fields = {"UF_CRM_1C_ID": made["ref"]}
    requests.post(f"{bitrix24}/crm.contact.update", json={"id": id_, "fields": fields}, timeout=10).raise_for_status()
    wait_until(place.is_quiet, what="its events are through")
    return seconds


def resident_mb(process: Any) -> float:
    """Resident memory of a process, in MB (10^6 bytes)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) * 1024 / 1e6


def show(runs: dict[str, list[float]]) -> None:
    table = Table("idle latency", "p50, ms", "p95, ms", "p50 / plain", box=None)
    plain = statistics.median(runs["the same calls, plain"])
    for name, waits in runs.items():
        p95 = statistics.quantiles(waits, n=20)[18]
        median = statistics.median(waits)
        table.add_row(name, f"{median * 1000:.0f}", f"{p95 * 1000:.0f}", f"{median / plain:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
