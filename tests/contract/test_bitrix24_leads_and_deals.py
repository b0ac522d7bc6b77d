"""Bitrix24Leads and Bitrix24Deals against the sandbox's portal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref, onec_ref
from sync_worker.errors import LinkBroken, Misconfigured, OutcomeUnknown
from sync_worker.gateways.bitrix24.examine import PortalSetup
from sync_worker.sync_toml import load_rules
from tests.contract.portal_world import ONEC_ID, portal_world
from tests.services import ROOT

ORDER = onec_ref(RecordType.ORDER, ONEC_ID)
LEAD = onec_ref(RecordType.LEAD, ONEC_ID)


@pytest.fixture
def world():
    with portal_world() as world:
        world.know_users()
        yield world


def comments(world, deal):
    listed = world.peer.call("crm.timeline.comment.list", filter={"ENTITY_ID": deal.id, "ENTITY_TYPE": "deal"})
    return [comment["COMMENT"] for comment in listed]


class TestLeads:
    def test_lead_with_all_that_1c_takes(self, world):
        company = world.company()
        id_ = world.peer.call(
            "crm.lead.add",
            fields={
                "TITLE": "Заявка", "LAST_NAME": "Осипова", "NAME": "Анна", "STATUS_ID": "CONVERTED",
                "PHONE": [{"VALUE": "8 903 555-03-03", "VALUE_TYPE": "PAGER"}],
                "EMAIL": [{"VALUE": "Anna@Example.com"}],
                "OPPORTUNITY": 1500.5, "CURRENCY_ID": "RUB", "SOURCE_ID": "WEB", "COMMENTS": "Перезвонить",
                "COMPANY_ID": company.id, "ASSIGNED_BY_ID": 2,
            },
        )  # fmt: skip
        with world.counted() as made:
            lead = world.leads.read(bitrix24_ref(RecordType.LEAD, id_))
        assert made == ["crm.lead.get"]
        assert (lead.status, lead.counterparty, lead.onec_id) == ("CONVERTED", company, None)
        assert lead.fields == {
            "title": "Заявка",
            "contact_name": "Осипова Анна",
            "emails": [{"value": "anna@example.com", "kind": "work"}],
            "phones": [{"value": "+79035550303", "kind": "other"}],
            "source": "WEB",
            "amount": "1500.50",
            "currency": "RUB",
            "responsible": {"email": "manager@example.com", "name": "Менеджерова Мария"},
            "comment": "Перезвонить",
            "url": f"{world.peer.url}/crm/lead/details/{id_}/",
        }

    def test_contact_stands_for_a_lead_without_company(self, world):
        contact = world.contact()
        id_ = world.peer.call("crm.lead.add", fields={"TITLE": "Заявка", "CONTACT_ID": contact.id})
        assert world.leads.read(bitrix24_ref(RecordType.LEAD, id_)).counterparty == contact

    def test_ref_is_written_back(self, world):
        ref = bitrix24_ref(RecordType.LEAD, world.peer.call("crm.lead.add", fields={"TITLE": "Заявка"}))
        world.leads.write_back(ref, LEAD)
        assert world.leads.read(ref).onec_id == ONEC_ID

    def test_ref_of_a_lead_that_is_gone(self, world):
        with pytest.raises(LinkBroken):
            world.leads.write_back(bitrix24_ref(RecordType.LEAD, 77), LEAD)

    def test_missing_lead_is_none(self, world):
        assert world.leads.read(bitrix24_ref(RecordType.LEAD, 77)) is None


class TestReadingDeals:
    def test_deal_with_everything_in_one_request(self, world):
        company, contact, other = world.company(), world.contact(), world.contact()
        deal = world.deal(
            COMPANY_ID=company.id, CONTACT_IDS=[other.id, contact.id], ASSIGNED_BY_ID=2, COMMENTS="Срочно"
        )
        links = [{"CONTACT_ID": other.id}, {"CONTACT_ID": contact.id, "IS_PRIMARY": "Y"}]
        world.peer.call("crm.deal.contact.items.set", id=deal.id, items=links)
        world.peer.call("crm.deal.productrows.set", id=deal.id, rows=[{"PRODUCT_NAME": "Стол", "PRICE": 10}])
        for stage in ("EXECUTING", "PREPARATION"):
            world.deals.move(deal, stage)
        with world.counted() as made:
            read = world.deals.read(deal)
        assert made == ["batch"]
        assert (read.category, read.stage, read.is_closed) == (0, "PREPARATION", False)
        assert (read.company, read.contact, read.counterparty) == (company, contact, company)
        assert read.past_stages == ()  # they are asked for where they matter only
        assert read.fields["responsible"] == {"email": "manager@example.com", "name": "Менеджерова Мария"}
        assert (read.fields["title"], read.fields["comment"]) == ("Кофемашины", "Срочно")
        assert read.fields["url"] == f"{world.peer.url}/crm/deal/details/{deal.id}/"

    def test_past_stages_are_one_call_newest_first(self, world):
        deal = world.deal()
        for stage in ("EXECUTING", "PREPARATION"):
            world.deals.move(deal, stage)
        with world.counted() as made:
            past = world.deals.past_stages(deal)
        assert made == ["crm.stagehistory.list"]
        assert [stage for stage, _at in past] == ["PREPARATION", "EXECUTING", "NEW"]
        assert all(at.tzinfo for _stage, at in past)

    def test_primary_contact_stands_for_a_deal_without_company(self, world):
        contact = world.contact()
        assert world.deals.read(world.deal(CONTACT_ID=contact.id)).counterparty == contact

    def test_deal_of_nobody(self, world):
        assert world.deals.read(world.deal()).counterparty is None

    def test_rows_come_to_the_deals_amount(self, world):
        deal = world.deal()
        rows = [
            {"PRODUCT_NAME": "Доставка", "PRICE": 100, "QUANTITY": 30, "TAX_RATE": 20, "TAX_INCLUDED": "N", "SORT": 20},
            {"PRODUCT_NAME": "Стол", "PRICE": 899.1, "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 10, "TAX_INCLUDED": "Y",
             "SORT": 10},
            {"PRODUCT_NAME": "Стул", "PRICE": 333.33, "QUANTITY": 3, "DISCOUNT_TYPE_ID": 1, "DISCOUNT_SUM": 16.67,
             "TAX_RATE": 20, "TAX_INCLUDED": "Y", "SORT": 30},
        ]  # fmt: skip
        world.peer.call("crm.deal.productrows.set", id=deal.id, rows=rows)
        read = world.deals.read(deal)
        assert [row["name"] for row in read.fields["rows"]] == ["Стол", "Доставка", "Стул"]
        for row in read.fields["rows"]:
            assert Decimal(row["price"]) * Decimal(row["quantity"]) - Decimal(row["discount"]) == Decimal(row["amount"])
        on_top = Decimal("500.00")  # VAT of the one row that has it on top
        assert sum(Decimal(row["amount"]) for row in read.fields["rows"]) + on_top == Decimal(read.fields["amount"])

    @pytest.mark.parametrize(("stage", "is_closed"), [("EXECUTING", False), ("WON", True), ("LOSE", True)])
    def test_won_and_lost_are_closed(self, world, stage, is_closed):
        assert world.deals.read(world.deal(STAGE_ID=stage)).is_closed is is_closed

    def test_pipeline_of_its_own(self, world):
        read = world.deals.read(world.deal(CATEGORY_ID=1))
        assert (read.category, read.stage) == (1, "C1:NEW")

    def test_missing_deal_is_none(self, world):
        assert world.deals.read(bitrix24_ref(RecordType.DEAL, 77)) is None


class TestWritingDeals:
    def test_ref_and_comment_in_one_request(self, world):
        deal, next_one = world.deal(), world.deal()
        with world.counted() as made:
            world.deals.write_back(deal, ORDER, comment="1С: создан заказ № 7")
            world.deals.write_back(next_one, ORDER, comment=None)
        assert made == ["crm.deal.userfield.list", "batch", "crm.deal.update"]  # that our field is there is asked once
        assert world.deals.read(deal).onec_id == ONEC_ID
        assert comments(world, deal) == ["1С: создан заказ № 7"]

    def test_no_comment_where_none_is_wanted(self, world):
        deal = world.deal()
        world.deals.write_back(deal, ORDER, comment=None)
        assert comments(world, deal) == []

    def test_deal_that_does_not_take_its_ref_is_not_commented_on(self, world):
        deal = world.deal()
        world.peer.portal.faults.replace("http500:crm.deal.update=1x1")
        with pytest.raises(OutcomeUnknown):
            world.deals.write_back(deal, ORDER, comment="1С: создан заказ № 7")
        assert comments(world, deal) == []

    def test_move_returns_the_stage_that_was_read_back(self, world):
        deal = world.deal()
        with world.counted() as made:
            assert world.deals.move(deal, "EXECUTING") == "EXECUTING"
        assert made == ["batch"]
        assert world.peer.call("crm.deal.get", id=deal.id)["STAGE_ID"] == "EXECUTING"

    def test_move_of_a_deal_that_is_gone(self, world):
        with pytest.raises(LinkBroken):
            world.deals.move(bitrix24_ref(RecordType.DEAL, 77), "EXECUTING")

    def test_other_failures_of_a_move_are_no_refusal(self, world):
        deal = world.deal()
        world.peer.portal.faults.replace("http500:crm.item.update=1x1")
        with pytest.raises(OutcomeUnknown):
            world.deals.move(deal, "EXECUTING")


def test_portal_without_our_field_is_told_before_anything_is_written():
    with portal_world(with_user_fields=False) as world:
        deal = world.deal()
        lead = bitrix24_ref(RecordType.LEAD, world.peer.call("crm.lead.add", fields={"TITLE": "Заявка"}))
        fired = len(world.peer.fired())
        with pytest.raises(Misconfigured, match="sync-worker setup"):
            world.deals.write_back(deal, ORDER, comment="1С: создан заказ № 7")
        with pytest.raises(Misconfigured, match="sync-worker setup"):
            world.leads.write_back(lead, LEAD)
        assert len(world.peer.fired()) == fired
        PortalSetup(client=world.client, rules=load_rules(ROOT / "sync.example.toml")[0]).create_field("deal")
        world.deals.write_back(deal, ORDER, comment=None)
        assert world.deals.read(deal).onec_id == ONEC_ID
