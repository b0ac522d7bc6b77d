"""An installation that the internet cannot reach: all that it hears of the portal lies in the offline queue."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from sandbox.portal import PortalSettings
from sandbox.portal.calls import Call, Entry
from sandbox.portal.errors import CutConnectionError
from sandbox.portal.settings import ApplicationSettings
from tests.process.exchange import APPLICATION_TOKEN, B24_SECRET, Exchange, wait_until
from tests.process.test_secrets import dump
from tests.process.trials import add_contacts

pytestmark = pytest.mark.process

CLIENT = ApplicationSettings(
    client_id="local.65a1.tests", client_secret="key-of-the-local-application", refresh_token="the-first-refresh-token"
)
SECRETS = (CLIENT.client_secret, CLIENT.refresh_token, B24_SECRET, APPLICATION_TOKEN)


class Unreachable(Exchange):
    """No webhook of the portal's comes; a local application is set up."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "B24_OAUTH_CLIENT_ID": CLIENT.client_id,
            "B24_OAUTH_CLIENT_SECRET": CLIENT.client_secret,
            "B24_OAUTH_REFRESH_TOKEN": CLIENT.refresh_token,
            "B24_OAUTH_URL": self.portal_url,
        }

    def _point_events_here(self) -> None:
        webhook = {"url": f"{self.ingress_url}/webhooks/1c"}
        self.http.post(f"{self.onec_url}/_sandbox/webhook", json=webhook, timeout=5).raise_for_status()

    @property
    def queue(self) -> list[dict[str, Any]]:
        return list(self.portal.events.offline.rows)

    def listens(self) -> bool:
        return "ONCRMDYNAMICITEMDELETE" in self.portal.events.offline.bound

    def calls_of(self, method: str) -> int:
        return self.portal.journal_log.totals()["methods"].get(method, 0)

    def contacts(self, *names: str) -> None:
        """All in one moment: a look at the queue finds them all, or none."""
        add_contacts(self, names)

    def arrived(self, *names: str) -> bool:
        return sorted(names) == sorted(party["name"].split()[0] for party in self.parties())


@contextmanager
def unreachable(folder: Path, **settings: Any) -> Iterator[Unreachable]:
    folder.mkdir()
    limits = {"rate_per_second": 500, "burst": 2000}
    portal = PortalSettings(
        with_user_fields=True,
        secrets={B24_SECRET: 1},
        application_token=APPLICATION_TOKEN,
        application=CLIENT,
        **{**limits, **settings},
    )
    with Unreachable(folder, portal=portal) as place:
        wait_until(place.listens, what="the application listens")
        yield place


def spoken(text: str, *secrets: str) -> list[str]:
    """The secrets that stand in it, plainly or in base64, as messages carry their bodies."""
    coded = {secret: base64.b64encode(secret.encode()).decode().rstrip("=")[:-1] for secret in secrets}
    return [secret for secret in secrets if secret in text or coded[secret] in text]


class Gate:
    """Stops the first call of a method, before or after it is done; its caller never gets an answer."""

    def __init__(self, place: Exchange, method: str, *, is_done: bool) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self._entries, self._method, self._is_done = place.portal.methods.entries, method, is_done
        self._entry = self._entries[method]
        self._entries[method] = Entry(run=self._run, scope="")

    def _run(self, call: Call) -> Any:
        if self.reached.is_set() or (self._is_done and not call.world.events.offline.rows):
            return self._entry.run(call)
        if self._is_done:
            self._entry.run(call)
        self.reached.set()
        self.opened.wait(timeout=60)
        raise CutConnectionError


def kill_at(place: Unreachable, method: str, *, is_done: bool, when: Callable[[], object]) -> None:
    """SIGKILL for the worker that calls this method, at that very moment; then another worker."""
    gate = Gate(place, method, is_done=is_done)
    when()
    assert gate.reached.wait(timeout=60)
    place.worker.kill()
    gate.opened.set()
    place.worker.start()


def test_every_change_arrives_by_the_offline_queue_alone(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place") as place:
        place.contacts("Осипова")
        wait_until(lambda: place.arrived("Осипова"), what="the contact arrived in 1C")
        wait_until(place.is_quiet, what="nothing waits any more")
        company = place.portal_form("companies", title="ООО Ромашка", inn="7707083893", kpp="773601001")
        wait_until(lambda: len(place.parties()) == 2, what="the company arrived in 1C")
        place.portal_form("deals", title="Кофемашины", company_id=company, stage_id="EXECUTING")
        wait_until(place.orders, what="the deal arrived in 1C")
        wait_until(lambda: not place.queue and place.is_quiet(), what="nothing waits any more")
        doctor = json.loads(place.command("doctor", "--json").stdout)

        assert (
            spoken(dump(place.redis.url(0)) + dump(place.redis.url(1)), CLIENT.client_secret, CLIENT.refresh_token)
            == []
        )
        assert all(not fired.urls for fired in place.portal.events.log)
        assert place.portal.oauth.renewals == 1
        told = {finding["check"]: finding for finding in doctor["findings"]}
        assert told["Bitrix24 offline queue"]["found"].startswith("on: ")
        assert all(one["ok"] for name, one in told.items() if "offline" in name or "application" in name)
        assert 'sync_offline_rows_total{outcome="rung"}' in place.http.get(f"{place.ingress_url}/metrics").text
        issued = (*place.portal.oauth.issued, place.portal.oauth.refresh_token)
    logs = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in tmp_path.rglob("*.log"))
    assert len(issued) == 2
    assert spoken(logs, *SECRETS, *issued) == []


def test_rows_of_a_worker_that_is_killed_before_it_clears_them_are_found_again(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place") as place:
        names = ("Первая", "Вторая", "Третья")
        kill_at(place, "event.offline.clear", is_done=False, when=lambda: place.contacts(*names))

        wait_until(lambda: place.arrived(*names) and not place.queue, what="all arrived, and nothing is left over")
        wait_until(place.is_quiet, what="nothing waits any more")
        assert place.arrived(*names), "and none of them twice"


def test_rows_whose_reservation_was_never_heard_of_are_found_again(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place") as place:
        names = ("Первая", "Вторая", "Третья")
        kill_at(place, "event.offline.get", is_done=True, when=lambda: place.contacts(*names))

        wait_until(lambda: place.arrived(*names) and not place.queue, what="all arrived, and nothing is left over")
        assert place.calls_of("event.offline.list") >= 1


def test_without_reservation_a_kill_behind_the_taking_loses_nothing(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place", reserves_offline_rows=False) as place:
        names = ("Первая", "Вторая", "Третья")
        kill_at(place, "event.offline.get", is_done=True, when=lambda: place.contacts(*names))

        wait_until(lambda: place.arrived(*names), what="all arrived, though the portal has no row of them any more")
        wait_until(lambda: not place.queue and place.is_quiet(), what="nothing waits any more")
        assert place.arrived(*names), "and none of them twice"


def test_a_token_that_ends_in_the_middle_is_renewed_and_the_newest_one_is_kept(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place") as place:
        place.portal.oauth.expire()
        place.contacts("Первая")
        wait_until(lambda: place.arrived("Первая"), what="it arrived with another token")
        place.worker.kill()  # what it held in memory is gone
        place.portal.oauth.expire()
        place.worker.start()
        place.contacts("Вторая")
        wait_until(lambda: place.arrived("Первая", "Вторая"), what="it arrived with a third token")

        assert (place.portal.oauth.renewals, place.portal.oauth.refusals) == (3, 0)


def test_an_application_that_is_shut_out_raises_one_alarm_and_webhooks_go_on(tmp_path: Path) -> None:
    with unreachable(tmp_path / "place") as place:
        handlers = {"urls": [f"{place.ingress_url}/webhooks/bitrix24"]}
        place.http.post(f"{place.portal_url}/_sandbox/handlers", json=handlers, timeout=5).raise_for_status()
        place.portal.oauth.revoke()
        wait_until(lambda: "offline_queue_shut" in place.worker.log(), what="the alarm")
        with redis.Redis.from_url(place.redis.url(0)) as store:  # as if the pause were over
            store.hdel("sync:offline", "readiness")
            trouble = json.loads(store.hget("sync:offline", "trouble"))
            store.hset("sync:offline", "trouble", json.dumps({**trouble, "again_at": "2020-01-01T00:00:00+00:00"}))
        wait_until(lambda: "offline_queue_waits" in place.worker.log(), what="it was tried once more")
        place.contacts("Первая")
        wait_until(lambda: place.arrived("Первая"), what="the webhook brought it")
        doctor = place.command("doctor")

        assert place.worker.log().count("offline_queue_shut") == 1
        assert "B24_OAUTH_REFRESH_TOKEN" in place.worker.log()
        assert place.portal.oauth.refusals <= 8, "each try asks with the kept token and with the one of the settings"
        assert doctor.returncode == 1
        assert "B24_OAUTH_REFRESH_TOKEN" in doctor.stdout.replace("\n", "")
