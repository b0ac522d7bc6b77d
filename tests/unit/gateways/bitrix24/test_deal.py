"""A deal is read whole, and what a portal cannot tell of it does not stop it."""

from __future__ import annotations

import time

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.gateways.bitrix24.deal import Bitrix24Deals
from sync_worker.gateways.bitrix24.directories import Directories

CARD = {"ID": "7", "TITLE": "Без истории", "STAGE_ID": "EXECUTING", "CATEGORY_ID": "0", "OPPORTUNITY": "10.00"}


def test_portal_that_tells_no_stage_history_still_tells_its_deals(canned):
    refused = {"history": {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}}
    maps = {"result": {"card": CARD, "rows": [], "contacts": []}, "result_error": refused}
    canned.answer("batch", {"result": maps})
    directories = Directories(client=canned.client, monotonic=time.monotonic)
    deals = Bitrix24Deals(client=canned.client, directories=directories, portal_origin="https://example.bitrix24.ru")

    deal = deals.read(bitrix24_ref(RecordType.DEAL, 7))

    assert (deal.stage, deal.past_stages) == ("EXECUTING", ())
