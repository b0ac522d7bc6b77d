"""All records of a portal by their ids: every one once, many pages in one request, nothing missed at a page's edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.listed import Listed
from sync_worker.gateways.bitrix24.listing import Bitrix24Listing
from tests.contract.portal_world import ONEC_ID, OTHER_ONEC_ID, PortalWorld, portal_world
from tests.contract.test_bitrix24_invoices import card


@pytest.fixture
def world() -> Iterator[PortalWorld]:
    with portal_world() as world:
        yield world


def listing(world: PortalWorld, *, is_smart: bool = True) -> Bitrix24Listing:
    return Bitrix24Listing(client=world.client, has_smart_invoices=is_smart)


def rows(world: PortalWorld, type_: RecordType, **how: Any) -> list[Listed]:
    return [row for page in listing(world).pages(type_, **how) for row in page.rows]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 550, 601])
def test_every_record_once(world: PortalWorld, count: int) -> None:
    made = [world.contact() for _ in range(count)]
    with world.counted() as requests:
        found = rows(world, RecordType.CONTACT)
    assert [row.record for row in found] == made
    assert len(requests) <= 3  # one page, and then ten in a request


def test_a_walk_goes_on_after_any_page(world: PortalWorld) -> None:
    made = [world.contact() for _ in range(130)]
    pages = list(listing(world).pages(RecordType.CONTACT))
    assert [len(page.rows) for page in pages] == [50, 50, 30]
    assert [page.after for page in pages] == [made[49].id, made[99].id, None]
    assert [row.record for row in rows(world, RecordType.CONTACT, after=pages[0].after)] == made[50:]


def test_what_a_company_says(world: PortalWorld) -> None:
    by_field = world.company(UF_CRM_1C_ID=ONEC_ID)
    by_origin = world.company(ORIGINATOR_ID="1C", ORIGIN_ID=OTHER_ONEC_ID)
    foreign = world.company(ORIGINATOR_ID="MAILCHIMP", ORIGIN_ID=OTHER_ONEC_ID)
    found = {row.record: row for row in rows(world, RecordType.COMPANY)}
    assert found[by_field].names == onec_ref(RecordType.COUNTERPARTY, ONEC_ID)
    assert found[by_origin].names == onec_ref(RecordType.COUNTERPARTY, OTHER_ONEC_ID)
    assert found[foreign].names is None
    assert [row.is_ours for row in found.values()].count(True) == 1


def test_the_field_counts_before_the_origin(world: PortalWorld) -> None:
    world.contact(UF_CRM_1C_ID=ONEC_ID, ORIGINATOR_ID="1C", ORIGIN_ID=OTHER_ONEC_ID)
    assert [row.names for row in rows(world, RecordType.CONTACT)] == [onec_ref(RecordType.COUNTERPARTY, ONEC_ID)]


def test_a_contacts_company_and_a_deals_order(world: PortalWorld) -> None:
    company = world.company()
    world.contact(COMPANY_ID=company.id)
    world.contact()
    deal = world.deal(UF_CRM_1C_ID=ONEC_ID)
    assert [row.company_id for row in rows(world, RecordType.CONTACT)] == [company.id, None]
    assert rows(world, RecordType.DEAL) == [Listed(record=deal, names=onec_ref(RecordType.ORDER, ONEC_ID))]


def test_a_filter_and_the_last_id(world: PortalWorld) -> None:
    first = world.deal(STAGE_ID="EXECUTING")
    last = world.deal(STAGE_ID="EXECUTING")
    world.deal(STAGE_ID="NEW")
    where = {"=CATEGORY_ID": 0, "@STAGE_ID": ["EXECUTING", "WON"]}
    assert [row.record for row in rows(world, RecordType.DEAL, where=where)] == [first, last]
    assert listing(world).last_id(RecordType.DEAL, where=where) == int(last.id)
    assert listing(world).last_id(RecordType.LEAD) == 0


def test_leads_by_status(world: PortalWorld) -> None:
    wanted = world.peer.call("crm.lead.add", fields={"TITLE": "Запрос", "STATUS_ID": "PROCESSED"})
    world.peer.call("crm.lead.add", fields={"TITLE": "Запрос", "STATUS_ID": "NEW"})
    found = rows(world, RecordType.LEAD, where={"@STATUS_ID": ["PROCESSED"]})
    assert [row.record for row in found] == [bitrix24_ref(RecordType.LEAD, wanted)]


def test_old_invoices(world: PortalWorld) -> None:
    made = [world.old_invoices.create(card(company_id=world.company().id)) for _ in range(2)]
    old = listing(world, is_smart=False)
    (page,) = old.pages(RecordType.INVOICE)
    assert [row.record for row in page.rows] == made
    assert {row.names for row in page.rows} == {onec_ref(RecordType.INVOICE, ONEC_ID)}
    assert old.last_id(RecordType.INVOICE) == int(made[-1].id)


def test_smart_invoices_over_several_pages(world: PortalWorld) -> None:
    made = [
        world.peer.call("crm.item.add", entityTypeId=31, fields={"title": "Счёт", "xmlId": ONEC_ID})["item"]["id"]
        for _ in range(101)
    ]
    found = rows(world, RecordType.INVOICE)
    assert [row.record for row in found] == [bitrix24_ref(RecordType.INVOICE, id_) for id_ in made]
    assert {row.names for row in found} == {onec_ref(RecordType.INVOICE, ONEC_ID)}
    assert listing(world).last_id(RecordType.INVOICE) == made[-1]
