"""Trials in which the workers are killed."""

from __future__ import annotations

import math
import random
import time

import redis

from tests.process import deaths
from tests.process.exchange import wait_until
from tests.process.trials import Crowd, TrialPlace, Verdict, add_contacts, partners, percentile

RECOVERY_SECONDS = 120
SETTLE_SECONDS = 240
SEVERAL = 5  # of each kind with one kill: 25 records stand at the point together


def kill_at_every_step(place: TrialPlace, *, runs: int, seed: int) -> Verdict:
    """`runs` creates at each point that do not survive it, of all kinds in equal parts. Nobody rings once more."""
    crowd = Crowd(place=place)
    dead = {point: _kill_at(place, crowd, point, runs) for point in deaths.POINTS}
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    wrongs, letters = crowd.wrongs(), place.letters()
    enough = all(count >= runs for count in dead.values())
    shown = ", ".join(f"{point} {count}" for point, count in dead.items())
    return Verdict(
        trial=f"a kill at every step of a create, {runs} creates each",
        seed=seed,
        passed=enough and not wrongs and not letters,
        seen=f"creates that stood at the kill: {shown}; {len(wrongs)} records missing or twice {wrongs[:5]}, "
        f"{len(letters)} dead letters, nobody rang again",
    )


def _kill_at(place: TrialPlace, crowd: Crowd, point: str, runs: int) -> int:
    """Returns how many creates stood there, of all kills."""
    total = 0
    with redis.Redis.from_url(place.redis.url(deaths.DATABASE)) as client:
        while total < runs:
            each = min(SEVERAL, -(-(runs - total) // Crowd.KINDS))
            deaths.arm(client, point, wanted=each * Crowd.KINDS)
            crowd.add(each)
            wait_until(lambda: not place.worker.is_running, what=f"the worker dies {point}")
            place.worker.kill()
            total += deaths.stood(client)
            place.worker.start()
    return total


def kill_whole_tree(
    place: TrialPlace, *, events: int, kills: int, seed: int, granted_seconds: float = math.inf
) -> Verdict:
    """A burst of new contacts a kill, which comes at a moment that the seed draws, while the burst is worked on.

    `granted_seconds`: the longest that recovery may take, to the last event in flight, in 99 of 100 kills.
    """
    chance = random.Random(seed)
    first: list[float] = []
    last: list[float] = []
    cards, parties = len(place.contacts()), len(place.parties())
    each, ids = events // kills, list[int]()
    for number in range(kills):
        ids += add_contacts(place, [f"Событие{number}-{one}" for one in range(each)])
        took = _kill_amid(place, parties + len(ids) - each + round(each * chance.uniform(0.05, 0.6)))
        first.append(took[0])
        last.append(took[1])
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    missing = set(ids) - partners(place).keys()
    twice = len(place.parties()) - parties - len(ids) + len(missing) + len(place.contacts()) - cards - len(ids)
    letters = place.letters()
    return Verdict(
        trial=f"{events} events, {kills} SIGKILLs of the whole worker tree",
        seed=seed,
        passed=not missing and not twice and not letters and percentile(last, 0.99) <= granted_seconds,
        seen=f"{len(ids) - len(missing)} of {len(ids)} applied, {twice} duplicates, {len(letters)} dead letters; "
        f"from the kill to the first event handled: {_spread(first)}; to the last that was in flight: {_spread(last)}, "
        f"granted {granted_seconds:g} s",
    )


def _spread(seconds: list[float]) -> str:
    return f"p50 {percentile(seconds, 0.5):.1f} s, p99 {percentile(seconds, 0.99):.1f} s"


def _kill_amid(place: TrialPlace, when_done: int) -> tuple[float, float]:
    """Kill once so many are done. Returns seconds until the first event was handled again, and the last in flight."""
    wait_until(lambda: len(place.base.store.all("counterparties")) >= when_done, what="a part is done")
    place.worker.kill()
    killed_at = time.monotonic()
    waiting, held = place.accepted(), place.held()
    place.worker.start()
    in_flight = held & waiting
    wait_until(lambda: waiting - place.accepted(), seconds=RECOVERY_SECONDS, what="an event is handled")
    first = time.monotonic() - killed_at
    wait_until(lambda: not in_flight & place.accepted(), seconds=RECOVERY_SECONDS, what="what was in flight")
    return first, time.monotonic() - killed_at
