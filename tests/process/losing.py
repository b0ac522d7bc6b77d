"""Trials in which nobody dies: answers are lost, both sides make the same record, both sides edit it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.process.exchange import wait_until
from tests.process.trials import Crowd, TrialPlace, Verdict, add_contacts, partners

SETTLE_SECONDS = 600
INN_WEIGHTS = (2, 4, 10, 3, 5, 9, 4, 6, 8)


def lose_answers(place: TrialPlace, *, each: int, seed: int) -> Verdict:
    """`each` new records of all five kinds; of every tenth call on either side the answer is lost after the write."""
    crowd = Crowd(place=place)
    before = _lost_so_far(place)
    with _faults(place, "reset_after=1x2,reset_after=0.1"):
        crowd.add(each)
        wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    wrongs, letters = crowd.wrongs(), place.letters()
    lost, cut = (now - then for now, then in zip(_lost_so_far(place), before, strict=True))
    return Verdict(
        trial=f"answers lost after the write, 10 % of calls on both sides, {each * crowd.KINDS} creates",
        seed=seed,
        passed=not wrongs and not letters and min(lost, cut) > 0,
        seen=f"{cut} answers of the portal and {lost} of 1C lost; {len(wrongs)} records missing or twice {wrongs[:5]}, "
        f"{len(letters)} dead letters",
    )


@contextmanager
def _faults(place: TrialPlace, spec: str) -> Iterator[None]:
    """On both sides, while the block runs."""
    both = (place.portal.faults, place.base.faults)
    for faults in both:
        faults.replace(spec)
    try:
        yield
    finally:
        for faults in both:
            faults.replace("")


def _lost_so_far(place: TrialPlace) -> tuple[int, int]:
    """Calls without an answer: of 1C, and of the portal."""
    in_onec = sum(call.status is None for call in place.base.journal.calls)
    return in_onec, sum(call["status"] is None for call in place.portal_journal()["calls"])


def meet(place: TrialPlace, *, pairs: int, seed: int) -> Verdict:
    """Half of the pairs share an ИНН, half an e-mail; both records of a pair are saved at the same moment."""
    chance = random.Random(seed)
    before = _counterparties(place)
    for number in range(pairs):
        if number % 2:
            _save_both(lambda n=number: _person_here(place, n), lambda n=number: _person_there(place, n))
        else:
            inn = _inn(chance)
            _save_both(
                lambda n=number, inn=inn: place.portal_form("companies", title=f"ООО Пара {n}", inn=inn),
                lambda n=number, inn=inn: place.onec_form(
                    "counterparties", kind="company", name=f"ООО Пара {n}", inn=inn
                ),
            )
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    cards, linked, parties = (now - then for now, then in zip(_counterparties(place), before, strict=True))
    letters = place.letters()
    return Verdict(
        trial=f"{pairs} pairs of new records with one ИНН or e-mail, saved at the same moment on both sides",
        seed=seed,
        passed=parties == cards == linked == pairs and not letters,
        seen=f"{parties} counterparties, {cards} cards on the portal, {linked} of each linked, "
        f"{len(letters)} dead letters {[(one['cause'], one['message']) for one in letters[:3]]}",
    )


def _counterparties(place: TrialPlace) -> tuple[int, int, int]:
    """How many cards the portal has, to how many counterparties they are linked, and how many there are."""
    portal, refs = place.portal_state(), {one["ref"] for one in place.parties()}
    cards = portal["companies"] + portal["contacts"]
    return len(cards), len({card.get("UF_CRM_1C_ID") for card in cards} & refs), len(refs)


def _person_here(place: TrialPlace, number: int) -> Any:
    return place.portal_form("contacts", last_name=f"Парный{number}", name="Иван", email=f"pair{number}@example.com")


def _person_there(place: TrialPlace, number: int) -> Any:
    email = f"pair{number}@example.com"
    return place.onec_form("counterparties", kind="person", name=f"Парный{number} Иван", email=email)


def _save_both(*saves: Callable[[], Any]) -> None:
    together = threading.Barrier(len(saves))

    def save(one: Callable[[], Any]) -> None:
        together.wait()
        one()

    threads = [threading.Thread(target=save, args=(one,)) for one in saves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _inn(chance: random.Random) -> str:
    """A legal entity's, with its check digit."""
    digits = [chance.randint(1, 9) for _ in INN_WEIGHTS]
    check = sum(weight * digit for weight, digit in zip(INN_WEIGHTS, digits, strict=True)) % 11 % 10
    return "".join(map(str, [*digits, check]))


def alternate(place: TrialPlace, *, edits: int, records: int, seed: int) -> Verdict:
    """A phone on the portal, a comment in 1C, and so on in turn, as fast as the forms can be sent."""
    chance = random.Random(seed)
    ids = add_contacts(place, [f"Правленый{number}" for number in range(records)])
    wait_until(lambda: partners(place).keys() >= set(ids), what="all are in 1C")
    wait_until(place.is_settled, what="all are linked")
    refs = {id_: one["ref"] for id_, one in partners(place).items()}
    before, phones, comments = place.writes(), dict[int, str](), dict[int, str]()
    for number in range(edits):
        id_ = chance.choice(ids)
        if number % 2:
            comments[id_] = f"правка {number}"
            place.onec_form(f"counterparties/{refs[id_]}", comment=comments[id_])
        else:
            phones[id_] = f"+7916555{number:04}"
            place.portal_form(f"contacts/{id_}", phone=phones[id_])
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    written = place.writes() - before
    for id_ in ids:  # saved once more as they are: whatever is not at rest is written now
        place.portal_form(f"contacts/{id_}", **({"phone": phones[id_]} if id_ in phones else {}))
        place.onec_form(f"counterparties/{refs[id_]}", **({"comment": comments[id_]} if id_ in comments else {}))
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    afterwards = place.writes() - before - written
    wrongs = _not_as_edited(place, phones, comments)
    letters = place.letters()
    return Verdict(
        trial=f"{edits} edits of {records} records, alternating sides, fast",
        seed=seed,
        passed=written <= edits and not afterwards and not wrongs and not letters,
        seen=f"{written} writes ({written / edits:.2f} an edit), {afterwards} in the quiet after, though each "
        f"record was saved again; {len(wrongs)} values that did not arrive {wrongs[:3]}, {len(letters)} dead letters",
    )


def _not_as_edited(place: TrialPlace, phones: dict[int, str], comments: dict[int, str]) -> list[str]:
    parties = partners(place)
    cards = {int(card["ID"]): card for card in place.contacts()}
    return [
        *(f"phone of {id_}" for id_, phone in phones.items() if parties[id_]["phones"][0]["value"] != phone),
        *(f"comment of {id_}" for id_, text in comments.items() if text not in str(cards[id_].get("COMMENTS"))),
    ]
