"""Trials in which what happens is told three times and in another order than it happened, and some of it to nobody."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.process.exchange import wait_until
from tests.process.relays import Post, post_office
from tests.process.trials import TrialPlace, Verdict

SETTLE_SECONDS = 300
EDITS = 3  # of each record, on either side
TIMES = 3
DROP_SHARE = 0.05
PORTAL, ONEC = "Портальный", "Учётный"


def shuffle(place: TrialPlace, *, records: int, window_seconds: float, seed: int) -> Verdict:
    """The same story twice: told in order, and told three times, each copy at a moment of its own within the window.

    Of the second telling some events come to nobody, and a sweep finds them: one after the records are made, one after
    the edits. Another one after each of these finds nothing.
    """
    parties, cards = len(place.parties()), len(place.contacts())
    with post_office(place.ingress_url, seed=seed) as (post, address), place.sending_to(address):
        ordered = _tell(place, post, records=records, start="А", seed=seed)
        delivered = post.delivered
        with _disturbed(post, window_seconds):
            shuffled = _tell(place, post, records=records, start="Б", seed=seed)
        delivered_again = post.delivered - delivered
    drift = [sweep["drift"] for sweep in (_sweep(place), _sweep(place))][-1]
    letters, parties, cards = place.letters(), len(place.parties()) - parties, len(place.contacts()) - cards
    differing = sorted(name for name in ordered.keys() | shuffled.keys() if ordered.get(name) != shuffled.get(name))
    return Verdict(
        trial=f"every event three times, shuffled within {window_seconds:g} s, {DROP_SHARE:.0%} dropped; {records} "
        f"records of {2 * EDITS} edits",
        seed=seed,
        passed=not differing
        and not letters
        and parties == cards == 2 * records
        and len(ordered) == records
        and not any(drift.values()),
        seen=f"{delivered} deliveries in order, {delivered_again} shuffled, {post.dropped} events dropped; after a "
        f"sweep, drift {sum(drift.values())}; {len(differing)} records end "
        f"otherwise than in the ordered run {[(ordered.get(one), shuffled.get(one)) for one in differing[:2]]}, "
        f"{parties} counterparties and {cards} contacts of {2 * records}, {len(letters)} dead letters",
    )


def _tell(place: TrialPlace, post: Post, *, records: int, start: str, seed: int) -> dict[str, Any]:
    """New records of both sides and edits on both, then the state that they end in, by name without `start`."""
    chance = random.Random(seed)
    names = [f"{start}{(PORTAL, ONEC)[number % 2]}{number}" for number in range(records)]
    for name in names:
        if PORTAL in name:
            place.portal_form("contacts", last_name=name, name="Пётр")
        else:
            place.onec_form("counterparties", kind="person", name=f"{name} Пётр")
    _come_to_rest(place, post)
    wait_until(lambda: len(_pairs(place, start)) == records, seconds=SETTLE_SECONDS, what="both sides have them all")
    for step in range(EDITS):
        for name, (contact, party) in chance.sample(sorted(_pairs(place, start).items()), records):
            place.portal_form(f"contacts/{contact['ID']}", phone=f"+7916555{chance.randint(1000, 9999)}")
            place.onec_form(f"counterparties/{party['ref']}", comment=f"{step}: {chance.random()} {name[1:]}")
    _come_to_rest(place, post)
    return {name[1:]: _state(*pair) for name, pair in _pairs(place, start).items()}


@contextmanager
def _disturbed(post: Post, window_seconds: float) -> Iterator[None]:
    post.times, post.window_seconds, post.drop_share = TIMES, window_seconds, DROP_SHARE
    try:
        yield
    finally:
        post.times, post.window_seconds, post.drop_share = 1, 0.0, 0.0


def _come_to_rest(place: TrialPlace, post: Post) -> None:
    """All that is told is done; where some is told to nobody, a sweep has found it."""
    wait_until(post.is_idle, seconds=SETTLE_SECONDS, what="all is told")
    wait_until(lambda: post.is_idle() and place.is_settled(), seconds=SETTLE_SECONDS, what="nothing waits")
    if post.drop_share:
        _sweep(place)
        wait_until(lambda: post.is_idle() and place.is_settled(), seconds=SETTLE_SECONDS, what="nothing waits")


def _sweep(place: TrialPlace) -> dict[str, Any]:
    done = place.command("reconcile", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="what the sweep found is done")
    return dict(json.loads(done.stdout))


def _pairs(place: TrialPlace, start: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By last name: the contact and the counterparty that it names."""
    parties = {one["ref"]: one for one in place.parties()}
    return {
        card["LAST_NAME"]: (card, parties[card["UF_CRM_1C_ID"]])
        for card in place.contacts()
        if card["LAST_NAME"].startswith(start) and card.get("UF_CRM_1C_ID") in parties
    }


def _state(contact: dict[str, Any], party: dict[str, Any]) -> tuple[Any, ...]:
    """What both sides end with; ids and refs are each run's own."""
    on_portal = (contact["NAME"], [one["VALUE"] for one in contact.get("PHONE") or ()], contact.get("COMMENTS"))
    in_onec = (party["name"][1:], [one["value"] for one in party["phones"]], party["comment"])
    return (*on_portal, *in_onec)
