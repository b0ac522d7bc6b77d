"""A trial in which workers stand still: stopped amid their work, and let go when others have done it."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.process.exchange import CeleryProcess, wait_until
from tests.process.trials import TrialPlace, Verdict, add_contacts, partners

SLOWLY = "hang=0.5@0.3"  # of calls on both sides: so there are always some under way when the worker stops
EACH = 40  # contacts that are new when it does
SETTLE_SECONDS = 240


def stall(place: TrialPlace, *, stalls: int, seed: int) -> Verdict:
    """Two workers, a burst of new contacts a stall. While one stands still, each contact is edited and seen to arrive.

    So whatever the stopped one has read is old when it wakes up, and whatever it was about to make is there.
    """
    chance = random.Random(seed)
    for side in (place.portal, place.base):
        side.faults.replace(SLOWLY)
    workers = (place.worker, place.start_worker("second"))
    wanted: dict[int, str] = {}
    for number in range(stalls):
        ids = add_contacts(place, [f"Новый{number}-{one}" for one in range(EACH)])
        done = len(place.parties()) + round(EACH * chance.uniform(0.05, 0.6))
        wait_until(lambda done=done: len(place.parties()) >= done, what="a part is done")
        with _standing_still(chance.choice(workers)):
            for id_ in ids:
                wanted[id_] = f"Правленый{number}-{id_}"
                place.portal_form(f"contacts/{id_}", last_name=wanted[id_])
            wait_until(lambda ids=ids: _has_all(place, wanted, ids), seconds=SETTLE_SECONDS, what="the other does it")
        wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    wrongs, letters = _wrongs(place, wanted), place.letters()
    stopped = sum(worker.log().count('"cause": "lease_lost"') for worker in workers)
    return Verdict(
        trial=f"{stalls} workers stopped by SIGSTOP amid {stalls * EACH} creates, until another has done their work",
        seed=seed,
        passed=not wrongs and not letters,
        seen=f"{len(wanted)} records, {len(wrongs)} of them missing, twice or not as edited {wrongs[:5]}; "
        f"{len(letters)} dead letters; a fence stopped {stopped} tasks that woke up",
    )


@contextmanager
def _standing_still(worker: CeleryProcess) -> Iterator[None]:
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def _has_all(place: TrialPlace, wanted: dict[int, str], ids: list[int]) -> bool:
    found = partners(place)
    return all(id_ in found and found[id_]["name"] == wanted[id_] for id_ in ids)


def _wrongs(place: TrialPlace, wanted: dict[int, str]) -> list[str]:
    """Each contact has one counterparty; both have its newest name, and name each other."""
    cards = {int(card["ID"]): card for card in place.contacts()}
    named = Counter(party["external_id"] for party in place.parties())
    found = partners(place)
    return [
        f"contact {id_}"
        for id_, name in wanted.items()
        if named[f"b24:contact:{id_}"] != 1
        or found[id_]["name"] != name
        or cards[id_]["LAST_NAME"] != name
        or cards[id_]["UF_CRM_1C_ID"] != found[id_]["ref"]
    ] + [f"{len(cards)} contacts and {len(place.parties())} counterparties"] * (
        len(cards) != len(wanted) or len(place.parties()) != len(wanted)
    )
