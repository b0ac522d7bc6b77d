"""What the portal lists for a sweep: ids and stamps, page by page, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from sync_worker.domain.drift import Stamped
from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.errors import RemoteUnavailable
from sync_worker.gateways.bitrix24.changed import Bitrix24Changed
from tests.contract.portal_world import INN, ONEC_ID, PortalWorld, portal_world
from tests.contract.test_bitrix24_bad_answers import portal_that_answers

STARTED = 1_790_000_000.0
AT_START = datetime.fromtimestamp(STARTED, UTC)
HOUR = timedelta(hours=1)


class Hands:
    """A clock that a test puts on."""

    def __init__(self) -> None:
        self.at = STARTED

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def world(hands: Hands) -> Iterator[PortalWorld]:
    with portal_world(clock=hands) as world:
        hands.at += 3600  # the portal's own company is of before
        yield world


def sweeper(world: PortalWorld, *, smart: bool = True) -> Bitrix24Changed:
    return Bitrix24Changed(client=world.client, has_smart_invoices=smart)


def changed(world: PortalWorld, type_: RecordType, since: datetime, *, smart: bool = True) -> list[Stamped]:
    return [one for page in sweeper(world, smart=smart).changed(type_, since) for one in page]


def add_lead(world: PortalWorld) -> RecordRef:
    return bitrix24_ref(RecordType.LEAD, world.peer.call("crm.lead.add", fields={"TITLE": "Заявка"}))


def add_smart_invoice(world: PortalWorld) -> RecordRef:
    return bitrix24_ref(RecordType.INVOICE, world.peer.item(31, title="Счёт")["id"])


MAKERS: dict[RecordType, Callable[[PortalWorld], RecordRef]] = {
    RecordType.CONTACT: lambda world: world.contact(),
    RecordType.COMPANY: lambda world: world.company(),
    RecordType.LEAD: add_lead,
    RecordType.DEAL: lambda world: world.deal(),
    RecordType.INVOICE: add_smart_invoice,
}


@pytest.mark.parametrize("type_", MAKERS)
def test_what_changed_at_that_moment_or_later_is_listed_with_its_stamp(world, hands, type_):
    MAKERS[type_](world)
    hands.at += 3600
    later = MAKERS[type_](world)
    moment = datetime.fromtimestamp(hands.at, UTC)

    assert changed(world, type_, moment) == [Stamped(ref=later, changed_at=moment)]
    assert len(changed(world, type_, moment - HOUR)) == 2
    assert changed(world, type_, moment + timedelta(seconds=1)) == []


def test_changed_records_come_in_pages_without_counting(world, hands):
    made = [world.contact(NAME=f"Анна {number}") for number in range(101)]

    with world.counted() as calls:
        pages = list(sweeper(world).changed(RecordType.CONTACT, AT_START))

    assert [len(page) for page in pages] == [50, 50, 1]
    assert [one.ref for page in pages for one in page] == made
    assert calls == ["crm.contact.list"] * 3


def test_deal_that_changed_its_pipeline_is_listed(world, hands):
    deal = world.deal()
    hands.at += 3600
    moment = datetime.fromtimestamp(hands.at, UTC)
    assert changed(world, RecordType.DEAL, moment) == []

    world.peer.call("crm.item.update", entityTypeId=2, id=int(deal.id), fields={"categoryId": 1})

    assert [one.ref for one in changed(world, RecordType.DEAL, moment)] == [deal]


def test_requisite_that_is_new_or_changed_names_its_owner(world, hands):
    company, contact = world.company(), world.contact()
    of_company = world.requisite(company, RQ_INN=INN)
    hands.at += 3600
    world.requisite(contact, preset=5)
    moment = datetime.fromtimestamp(hands.at, UTC)
    assert [one.ref for one in changed(world, RecordType.REQUISITE, moment)] == [contact]

    world.peer.call("crm.requisite.update", id=of_company, fields={"RQ_KPP": "773601001"})

    found = changed(world, RecordType.REQUISITE, moment)
    assert [(one.ref, one.whole) for one in found] == [(contact, True), (company, True)]


def test_portals_own_company_is_nobodys_counterparty(world, hands):
    own = [one["ID"] for one in world.peer.call("crm.company.list", filter={"IS_MY_COMPANY": "Y"})]
    assert own

    assert changed(world, RecordType.COMPANY, AT_START - HOUR) == []
    assert changed(world, RecordType.REQUISITE, AT_START - HOUR) == []


def test_old_invoices_are_listed_where_the_portal_has_those(world):
    assert changed(world, RecordType.INVOICE, AT_START, smart=False) == []


def test_records_that_are_gone_are_named_in_as_few_requests_as_can_be(world):
    made = [world.contact(NAME=f"Анна {number}") for number in range(60)] + [add_smart_invoice(world)]
    gone = [made[3], made[55], made[60]]
    for contact in gone[:2]:
        world.peer.call("crm.contact.delete", id=contact.id)
    world.peer.call("crm.item.delete", entityTypeId=31, id=int(gone[2].id))

    with world.counted() as calls:
        assert sweeper(world).gone(made) == gone

    assert calls == ["batch"]
    assert sweeper(world).gone([]) == []


def test_records_that_carry_a_ref_are_listed_if_they_were_changed_before(world, hands):
    carrying = world.contact(UF_CRM_1C_ID=ONEC_ID)
    world.contact()
    hands.at += 3600
    world.contact(UF_CRM_1C_ID=ONEC_ID)
    before = datetime.fromtimestamp(hands.at, UTC)

    found = [one for page in sweeper(world).carrying(RecordType.CONTACT, before) for one in page]

    assert [(one.ref, one.onec_id) for one in found] == [(carrying, ONEC_ID)]


def test_portal_tells_its_time(world, hands):
    assert sweeper(world).now() == datetime.fromtimestamp(hands.at, UTC)


@pytest.mark.parametrize("answer", [None, {}, "", {"items": None}])
def test_answer_that_is_no_list_is_not_taken_for_an_empty_one(answer):
    with portal_that_answers({"result": answer, "time": {"operating": 0.1}}) as (_canned, client, _governor):
        portal = Bitrix24Changed(client=client, has_smart_invoices=True)

        with pytest.raises(RemoteUnavailable):
            list(portal.changed(RecordType.CONTACT, AT_START))
        with pytest.raises(RemoteUnavailable):
            portal.gone([bitrix24_ref(RecordType.INVOICE, 5)])


def test_list_that_does_not_move_on_is_no_loop_without_end():
    rows = [{"ID": str(number), "DATE_MODIFY": "2026-11-02T12:00:00+03:00"} for number in range(1, 51)]
    with portal_that_answers({"result": rows, "time": {"operating": 0.1}}) as (canned, client, _governor):
        pages = Bitrix24Changed(client=client, has_smart_invoices=True).changed(RecordType.CONTACT, AT_START)

        with pytest.raises(RemoteUnavailable, match="does not follow"):
            list(pages)

    assert len(canned.asked) == 2


def test_stamp_that_is_no_moment_is_no_reason_to_pass_a_record_over():
    rows = [{"ID": "1", "DATE_MODIFY": ""}]
    with portal_that_answers({"result": rows, "time": {"operating": 0.1}}) as (_canned, client, _governor):
        pages = Bitrix24Changed(client=client, has_smart_invoices=True).changed(RecordType.CONTACT, AT_START)

        with pytest.raises(RemoteUnavailable, match="no moment"):
            list(pages)
