"""What a portal cannot tell of a deal does not stop it."""

from __future__ import annotations

import time

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.errors import RemoteUnavailable
from sync_worker.gateways.bitrix24.deal import Bitrix24Deals
from sync_worker.gateways.bitrix24.directories import Directories

CARD = {"ID": "7", "TITLE": "Без контакта", "STAGE_ID": "EXECUTING", "CATEGORY_ID": "0", "OPPORTUNITY": "10.00"}
DEAL = bitrix24_ref(RecordType.DEAL, 7)


@pytest.fixture
def deals(canned):
    directories = Directories(client=canned.client, monotonic=time.monotonic)
    return Bitrix24Deals(client=canned.client, directories=directories, portal_origin="https://example.bitrix24.ru")


@pytest.mark.parametrize("code", ["ERROR_METHOD_NOT_FOUND", "ACCESS_DENIED", "insufficient_scope"])
def test_portal_that_tells_no_stage_history_knows_no_past(canned, deals, code):
    canned.problem("crm.stagehistory.list", code, "No")
    assert deals.past_stages(DEAL) == ()


def test_stage_history_that_is_only_late_is_waited_for(canned, deals):
    canned.problem("crm.stagehistory.list", "INTERNAL_SERVER_ERROR", status=500)
    with pytest.raises(RemoteUnavailable):
        deals.past_stages(DEAL)


@pytest.mark.parametrize(
    ("links", "id_"),
    [
        ([{"CONTACT_ID": 3, "IS_PRIMARY": "N"}, {"CONTACT_ID": 5, "IS_PRIMARY": "Y"}], "5"),
        ([{"CONTACT_ID": 3, "IS_PRIMARY": "N"}, {"CONTACT_ID": 5, "IS_PRIMARY": "N"}], "3"),
        ([], None),
        (None, None),
    ],
)
def test_card_without_its_outdated_contact_is_asked_for_its_contacts(canned, deals, links, id_):
    canned.answer("batch", {"result": {"result": {"card": CARD, "rows": []}}})
    canned.answer("crm.deal.contact.items.get", {"result": links})
    contact = deals.read(DEAL).contact
    assert (contact and contact.id) == id_


@pytest.mark.parametrize(("contact_id", "id_"), [("5", "5"), (None, None), ("0", None)])
def test_card_with_a_contact_is_believed(canned, deals, contact_id, id_):
    canned.answer("batch", {"result": {"result": {"card": {**CARD, "CONTACT_ID": contact_id}, "rows": []}}})
    contact = deals.read(DEAL).contact
    assert (contact and contact.id) == id_
    assert len(canned.mock.calls) == 1
