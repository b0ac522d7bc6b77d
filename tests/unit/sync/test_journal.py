"""Nothing is made that was not written down first, and a try whose outcome nobody knows is waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync_worker.domain.identity import EntityKind
from sync_worker.domain.intent import Intent
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import OutcomeUnknown, RateLimited, RemoteRejected, StoreUnavailable
from sync_worker.sync.journal import SETTLING
from tests.unit.sync.test_invoice import issued, the_card
from tests.unit.sync.world import COMPANY, DEAL, INVOICE, PARTY, World, company, deal, linked

KIND = EntityKind.CONTACT


class Killed(BaseException):
    """The worker dies here."""


def intents(world: World) -> list[tuple[EntityKind, object]]:
    return [(one.entity, one.source) for one in world.intents.all()]


def test_it_is_written_down_before_it_is_sent_and_gone_with_the_link(world: World) -> None:
    seen: list[object] = []
    world.portal.before("create", lambda: seen.extend(intents(world)))

    world.handle(world.tell(world.base.put(company(PARTY))))

    assert seen == [(KIND, PARTY)]
    assert intents(world) == []


def test_a_match_writes_nothing_down(world: World) -> None:
    world.portal.put(company())
    world.portal.after("find", lambda: world.portal.fail("update", RateLimited("later")))

    with pytest.raises(RateLimited):
        world.handle(world.tell(world.base.put(company(PARTY))))

    assert intents(world) == []


def test_after_a_lost_answer_the_next_try_finds_what_was_made(world: World) -> None:
    world.portal.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
    told = world.tell(world.base.put(company(PARTY)))
    with pytest.raises(OutcomeUnknown):
        world.handle(told)
    assert intents(world) == [(KIND, PARTY)]

    assert world.handle(told) is Outcome.UPDATED

    (card,) = world.portal.records
    assert world.links.find(PARTY) == linked(card, PARTY)
    assert intents(world) == []


def test_a_create_that_may_still_arrive_is_waited_for(world: World) -> None:
    """The portal goes on with what it was asked for when nobody listens any more."""
    world.portal.fail("create", OutcomeUnknown("the answer was lost"))
    told = world.tell(world.base.put(company(PARTY)))
    with pytest.raises(OutcomeUnknown, match="the answer"):
        world.handle(told)
    with pytest.raises(OutcomeUnknown, match="may still arrive"):
        world.handle(told)
    world.portal.put(company(COMPANY, other_ref=PARTY.id))

    world.handle(told)

    assert list(world.portal.records) == [COMPANY]


def test_the_wait_counts_from_the_lost_answer_and_has_an_end(world: World) -> None:
    slow = timedelta(seconds=60)

    def take_long() -> None:
        world.clock.time += slow

    world.portal.before("create", take_long)
    world.portal.fail("create", OutcomeUnknown("the answer was lost"))
    told = world.tell(world.base.put(company(PARTY)))
    with pytest.raises(OutcomeUnknown):
        world.handle(told)
    with pytest.raises(OutcomeUnknown, match="may still arrive"):
        world.handle(told)
    world.clock.time += SETTLING[COMPANY.system]

    assert world.handle(told) is Outcome.CREATED
    assert len(world.portal.records) == 1


def test_a_worker_that_died_leaves_what_it_was_about_to_make(world: World) -> None:
    world.portal.fail("create", Killed())
    told = world.tell(world.base.put(company(PARTY)))

    with pytest.raises(Killed):
        world.handle(told)

    sent = world.base.records[PARTY].fields
    assert world.intents.all() == [Intent(entity=KIND, source=PARTY, at=world.clock.now(), sent=sent)]


@pytest.mark.parametrize(("side", "call"), [("portal", "create"), ("base", "update")])
def test_an_edit_after_a_create_that_was_cut_short_is_no_conflict(world: World, side: str, call: str) -> None:
    """What the new record was made with is known, so that whoever differs from it has been changed since."""
    failing = world.portal if side == "portal" else world.base
    failing.fail(call, OutcomeUnknown("the answer was lost"), is_done=True)
    world.base.put(company(PARTY))
    with pytest.raises(OutcomeUnknown):
        world.handle(world.tell(world.base.records[PARTY]))
    (card,) = world.portal.records
    world.portal.edit(card, name="Василёк")

    world.handle(world.tell(world.base.alter(PARTY)))

    assert world.base.records[PARTY].fields["name"] == "Василёк"
    assert world.letters.count() == 0


@pytest.mark.parametrize("teller", ["the card", "the counterparty"])
def test_the_new_records_own_event_knows_what_it_was_made_with_too(world: World, teller: str) -> None:
    """It comes before the next try."""
    if teller == "the card":
        world.base.put(company(PARTY))
        world.portal.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
        with pytest.raises(OutcomeUnknown):
            world.handle(world.tell(world.base.records[PARTY]))
        (card,) = world.portal.records
        world.portal.edit(card, name="Василёк")
        world.handle(world.ring(card))
    else:
        world.portal.put(company())
        world.base.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
        with pytest.raises(OutcomeUnknown):
            world.handle(world.ring(COMPANY))
        (party,) = world.base.records
        world.handle(world.tell(world.base.edit(party, name="Василёк")))

    [(card, left)], [(party, right)] = world.portal.records.items(), world.base.records.items()
    assert (left.fields["name"], right.fields["name"]) == ("Василёк", "Василёк")
    assert world.links.find(card) == linked(card, party)
    assert intents(world) == []


def test_an_edit_in_onec_after_a_create_that_was_cut_short_reaches_the_portal(world: World) -> None:
    world.portal.put(company())
    world.base.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(COMPANY))
    (party,) = world.base.records
    world.base.edit(party, name="Василёк")

    world.handle(world.ring(COMPANY))

    assert world.portal.records[COMPANY].fields["name"] == "Василёк"


def test_where_it_cannot_be_written_down_nothing_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> bool:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(world.intents, "open", away)

    with pytest.raises(StoreUnavailable):
        world.handle(world.tell(world.base.put(company(PARTY))))

    assert world.portal.count("create") == 0


def test_a_time_that_cannot_be_moved_leaves_the_error_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Intent) -> None:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(world.intents, "stamp", away)
    world.portal.fail("create", OutcomeUnknown("the answer was lost"))

    with pytest.raises(OutcomeUnknown, match="the answer"):
        world.handle(world.tell(world.base.put(company(PARTY))))


def test_in_onec_a_second_create_of_one_external_id_is_the_first_so_nobody_waits(world: World) -> None:
    world.base.fail("create", OutcomeUnknown("the answer was lost"))
    world.portal.put(company(COMPANY))
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(COMPANY))

    assert world.handle(world.ring(COMPANY)) is Outcome.CREATED
    assert intents(world) == []


def test_an_order_is_written_down_until_it_is_linked_and_its_changes_are_not(world: World) -> None:
    world.portal.put(company())
    world.deals.records[DEAL] = deal()
    world.documents.fail("upsert_order", RemoteRejected("no"))
    with pytest.raises(RemoteRejected):
        world.handle(world.ring(DEAL))
    assert intents(world) == [(EntityKind.DEAL, DEAL)]
    world.handle(world.ring(DEAL))
    assert intents(world) == []
    world.deals.records[DEAL] = deal(fields={**deal().fields, "comment": "иначе"})
    world.documents.fail("upsert_order", OutcomeUnknown("the answer was lost"))

    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(DEAL))

    assert intents(world) == []


def test_an_invoice_is_written_down_too(world: World) -> None:
    world.cards.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
    told = issued(world)
    with pytest.raises(OutcomeUnknown):
        world.handle(told)
    assert intents(world) == [(EntityKind.INVOICE, INVOICE)]

    world.handle(told)

    assert world.links.find(INVOICE) == linked(the_card(world), INVOICE)
    assert intents(world) == []
