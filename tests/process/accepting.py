"""A trial in which the broker dies under the ingress, again and again and then for long: every 202 is kept."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import requests

from tests.process.exchange import APPLICATION_TOKEN, wait_until
from tests.process.trials import TrialPlace, Verdict, add_contacts

SENDERS = 6
SETTLE_SECONDS = 1200
PART_SECONDS = 120


@dataclass
class Callers:
    """Senders of one webhook for each contact, as a portal's burst is; what each was answered."""

    url: str
    ids: list[int]
    answers: Counter[str] = field(default_factory=Counter)  # "queued", "spooled", "503" ...
    accepted: set[int] = field(default_factory=set)
    allowed: int = 0  # of `ids`; they wait at this one
    _next: itertools.count[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._send_all, daemon=True) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        return threads

    def allow(self, count: int) -> None:
        with self._changed:
            self.allowed = min(count, len(self.ids))
            self._changed.notify_all()

    def told(self) -> int:
        return sum(self.answers.values())

    def _send_all(self) -> None:
        with requests.Session() as http:
            while (place := next(self._next)) < len(self.ids):
                with self._changed:
                    self._changed.wait_for(lambda place=place: place < self.allowed)
                self._send(http, self.ids[place])

    def _send(self, http: requests.Session, id_: int) -> None:
        form = {
            "event": "ONCRMCONTACTADD",
            "data[FIELDS][ID]": str(id_),
            "auth[application_token]": APPLICATION_TOKEN,
        }
        answer = http.post(f"{self.url}/webhooks/bitrix24", data=form, timeout=60)
        with self._changed:
            if answer.status_code == 202:
                self.accepted.add(id_)
                self.answers[answer.json()["status"]] += 1
            else:
                self.answers[str(answer.status_code)] += 1


def accept(place: TrialPlace, *, events: int, kills: int, away_seconds: float, seed: int) -> Verdict:
    """New contacts, a webhook for each; Redis is killed and started again amid them, and once stays away."""
    chance = random.Random(seed)
    ids = add_contacts(place, [f"Принятый{number}" for number in range(events)], silent=True)
    before = len(place.parties())
    callers = Callers(place.ingress_url, ids)
    threads = callers.start()
    for moment in sorted(chance.sample(range(events // 2), kills)):
        callers.allow(moment)
        wait_until(lambda moment=moment: callers.told() >= moment, seconds=PART_SECONDS, what="a part is sent")
        callers.allow(moment + events // (4 * kills))  # some are on their way while it dies
        place.redis.kill()
        time.sleep(chance.uniform(0, 2))
        place.redis.start()
    place.redis.kill()
    callers.allow(events)
    wait_until(lambda: callers.told() == events, seconds=10 * PART_SECONDS, what="all is sent")
    time.sleep(away_seconds)
    place.redis.start()
    for thread in threads:
        thread.join(timeout=PART_SECONDS)
    wait_until(
        lambda: len(place.parties()) - before >= len(callers.accepted), seconds=SETTLE_SECONDS, what="all arrived"
    )
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    named = Counter(party["external_id"] for party in place.parties())
    missing = [id_ for id_ in callers.accepted if named[f"b24:contact:{id_}"] == 0]
    twice = [id_ for id_ in ids if named[f"b24:contact:{id_}"] > 1]
    letters = place.letters()
    return Verdict(
        trial=f"Redis killed with SIGKILL {kills} times while {events} events are accepted, then away for "
        f"{away_seconds:g} s",
        seed=seed,
        passed=not missing and not twice and not letters and callers.answers["spooled"] > 0,
        seen=f"{len(callers.accepted)} answered 202 {dict(callers.answers)}; of these {len(missing)} did not arrive "
        f"and {len(twice)} arrived twice; {len(letters)} dead letters",
    )
