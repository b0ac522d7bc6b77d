"""What a portal cannot tell of a deal does not stop it, and why it does not move one."""

from __future__ import annotations

import time

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.errors import RemoteUnavailable, RequiredFieldEmpty, StageRefused, StageUnknown
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


def refuse(canned, code: str, description: str, *, card=CARD) -> None:
    """The move is refused, and the deal stands where it stood."""
    problems = {"move": {"error": code, "error_description": description}}
    canned.answer("batch", {"result": {"result": {"card": card}, "result_error": problems}})


def list_stages(canned, *codes: str, directory: str = "DEAL_STAGE") -> None:
    canned.answer("crm.status.list", {"result": [{"ENTITY_ID": directory, "STATUS_ID": code} for code in codes]})


@pytest.mark.parametrize(
    ("code", "description"),
    [
        ("CRM_FIELD_ERROR_REQUIRED", "Поле «Комментарий» обязательно для заполнения"),
        ("ERROR_CORE", "Не заполнено обязательное поле «Комментарий»"),
    ],
)
def test_unfilled_field_is_its_own_cause_in_any_language(canned, deals, code, description):
    refuse(canned, code, description)
    with pytest.raises(RequiredFieldEmpty, match=r"Комментарий.*stage WON"):
        deals.move(DEAL, "WON")


def test_missing_right_to_a_stage_is_told_in_the_portals_words(canned, deals):
    refuse(canned, "-", "Insufficient permissions to change the stage")
    with pytest.raises(StageRefused, match="Insufficient permissions") as raised:
        deals.move(DEAL, "WON")
    assert type(raised.value) is StageRefused


def test_refusal_of_a_stage_that_the_portal_has_is_told_in_its_words(canned, deals):
    refuse(canned, "ACCESS_DENIED", "Access denied")
    list_stages(canned, "NEW", "WON")
    with pytest.raises(StageRefused, match="Access denied") as raised:
        deals.move(DEAL, "WON")
    assert type(raised.value) is StageRefused


@pytest.mark.parametrize("code", ["ACCESS_DENIED", "insufficient_scope"])
def test_portal_that_shows_no_stages_is_believed_in_its_words(canned, deals, code):
    refuse(canned, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage"')
    canned.problem("crm.status.list", code, "No")
    with pytest.raises(StageRefused, match="Invalid value") as raised:
        deals.move(DEAL, "WON")
    assert type(raised.value) is StageRefused


def test_filter_that_the_portal_ignores_makes_no_stage_known(canned, deals):
    refuse(canned, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage"')
    rows = [{"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "NEW"}, {"ENTITY_ID": "STATUS", "STATUS_ID": "PAID"}]
    canned.answer("crm.status.list", {"result": rows})
    with pytest.raises(StageUnknown, match="no stage PAID in DEAL_STAGE; it has: NEW"):
        deals.move(DEAL, "PAID")


def test_portal_that_fails_while_it_is_asked_for_stages_is_asked_again_later(canned, deals):
    refuse(canned, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage"')
    canned.problem("crm.status.list", "INTERNAL_SERVER_ERROR", status=500)
    with pytest.raises(RemoteUnavailable):
        deals.move(DEAL, "WON")


def test_deal_that_a_robot_moved_on_is_told_where_it_stands(canned, deals):
    canned.answer("batch", {"result": {"result": {"move": {"item": {}}, "card": {**CARD, "STAGE_ID": "C3:LATE"}}}})
    list_stages(canned, "NEW", "WON", "C3:LATE")
    assert deals.move(DEAL, "WON") == "C3:LATE"
