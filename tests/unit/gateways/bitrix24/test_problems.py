"""What each answer of the portal means, row by row of the reference's tables (1.3), seen through the client."""

from __future__ import annotations

import pytest

from sync_worker.domain.identity import Lane
from sync_worker.errors import (
    LinkBroken,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    RemoteRejected,
    RemoteUnavailable,
    ShutOut,
)
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.problems import is_required_field

READ, WRITE = "crm.contact.get", "crm.contact.update"
HTML = "<html><body>502 Bad Gateway</body></html>"

SYSTEM_CODES = [
    (503, "QUERY_LIMIT_EXCEEDED", RateLimited),
    (429, "OPERATION_TIME_LIMIT", RateLimited),
    (503, "OVERLOAD_LIMIT", ShutOut),
    (500, "INTERNAL_SERVER_ERROR", RemoteUnavailable),
    (500, "ERROR_UNEXPECTED_ANSWER", RemoteUnavailable),
    (401, "NO_AUTH_FOUND", ShutOut),
    (401, "expired_token", ShutOut),
    (401, "INVALID_CREDENTIALS", ShutOut),  # what a wrong secret gets; with another status it is a right
    (403, "INVALID_CREDENTIALS", Misconfigured),
    (401, "insufficient_scope", Misconfigured),
    (403, "insufficient_scope", Misconfigured),
    (403, "user_access_error", ShutOut),
    (403, "allowed_only_intranet_user", Misconfigured),
    (403, "WRONG_AUTH_TYPE", Misconfigured),
    (404, "ERROR_METHOD_NOT_FOUND", Misconfigured),
    (404, "ERROR_MANIFEST_IS_NOT_AVAILABLE", Misconfigured),
    (405, "ERROR_BATCH_METHOD_NOT_ALLOWED", RemoteRejected),
    (400, "ERROR_BATCH_LENGTH_EXCEEDED", RemoteRejected),
    (400, "INVALID_REQUEST", ShutOut),
    (500, "PORTAL_DELETED", ShutOut),
    (410, "PORTAL_DELETED", ShutOut),
    (401, "PAYMENT_REQUIRED", ShutOut),
]

METHOD_PROBLEMS = [
    ("", "Not found", LinkBroken),
    ("", "Not found.", LinkBroken),
    ("", "Contact is not found", LinkBroken),
    ("", "Company is not found", LinkBroken),
    ("", "The Requisite with ID '57' is not found", LinkBroken),
    ("ERROR_CORE", "Element not found", LinkBroken),
    ("NOT_FOUND", "Element not found", LinkBroken),
    ("NOT_FOUND", "Элемент не найден", LinkBroken),
    ("OWNER_NOT_FOUND", "Owner was not found", LinkBroken),
    ("", "ID is not defined or invalid.", RemoteRejected),
    ("", "Access denied", RemoteRejected),
    ("", "Parameter 'fields' must be array.", RemoteRejected),
    ("", "TypeAddress not found", RemoteRejected),
    ("ERROR_CORE", "Invalid e-mail", RemoteRejected),
    ("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported", RemoteRejected),
    ("ACCESS_DENIED", "Access denied!", RemoteRejected),
    ("CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage"', RemoteRejected),
    ("CRM_FIELD_ERROR_REQUIRED", 'The "Name" field is required', RemoteRejected),
    ("100", "Could not find value for parameter {id}", RemoteRejected),
    ("INVALID_ARG_VALUE", "Invalid filter", RemoteRejected),
    ("UPDATE_DYNAMIC_ITEM_RESTRICTED", "Restricted by the plan", RemoteRejected),
    (0, "Access denied.", RemoteRejected),
    ("Communication type is not defined", "", RemoteRejected),
    ("-", "Insufficient permissions to change the stage", RemoteRejected),
]


@pytest.mark.parametrize("spell", [str.upper, str.lower])
@pytest.mark.parametrize(("status", "code", "error"), SYSTEM_CODES)
def test_system_code_counts_whatever_its_case(canned, status, code, error, spell):
    canned.problem(READ, spell(code), "In the portal's own words", status=status)
    with pytest.raises(error, match="In the portal's own words") as raised:
        canned.client.call(READ, id=1)
    assert type(raised.value) is error


@pytest.mark.parametrize(("code", "description", "error"), METHOD_PROBLEMS)
def test_method_problem_is_told_by_code_or_text(canned, code, description, error):
    canned.problem(READ, code, description)
    with pytest.raises(error) as raised:
        canned.client.call(READ, id=1)
    assert type(raised.value) is error


def test_item_type_that_is_switched_off_is_no_missing_record(canned):
    canned.problem("crm.item.get", "NOT_FOUND", "Smart process not found")
    with pytest.raises(Misconfigured, match="switch smart invoices on"):
        canned.client.call("crm.item.get", entityTypeId=31, id=1)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("REST API is available only on commercial plans", ShutOut),
        ("REST is available only on commercial plans.", ShutOut),
        ("Access denied!", RemoteRejected),
        ("Access denied! Application context required", RemoteRejected),
    ],
)
def test_access_denied_is_the_plans_or_the_records_by_its_words(canned, status, words, error):
    canned.problem(READ, "ACCESS_DENIED", words, status=status)
    with pytest.raises(error):
        canned.client.call(READ, id=1)


@pytest.mark.parametrize(("status", "error"), [(401, ShutOut), (403, Misconfigured), (404, ShutOut)])
def test_error_without_words_is_told_by_its_status(canned, status, error):
    canned.problem(READ, "", status=status)
    with pytest.raises(error) as raised:
        canned.client.call(READ, id=1)
    assert type(raised.value) is error


def test_unknown_method_is_no_portal_that_is_gone(canned):
    canned.problem(READ, "ERROR_METHOD_NOT_FOUND", "Method not found!", status=404)
    with pytest.raises(Misconfigured) as raised:
        canned.client.call(READ, id=1)
    assert not isinstance(raised.value, ShutOut)


def test_rejection_keeps_the_portals_code(canned):
    canned.problem(WRITE, "CRM_FIELD_ERROR_REQUIRED", 'The "Name" field is required')
    with pytest.raises(RemoteRejected) as raised:
        canned.client.call(WRITE, id=1, fields={})
    assert raised.value.code == "CRM_FIELD_ERROR_REQUIRED"


def test_blocked_method_waits_for_a_bucket_of_its_window_to_run_out(canned):
    canned.problem(READ, "OPERATION_TIME_LIMIT", status=429)
    with pytest.raises(RateLimited) as raised:
        canned.client.call(READ, id=1)
    assert raised.value.retry_after_seconds == 60
    assert canned.governor.refusals == []  # the other methods go on
    assert [told.refused for told in canned.governor.settled] == [{READ}]


def test_unexpected_503_makes_everybody_step_back(canned):
    canned.problem(READ, "QUERY_LIMIT_EXCEEDED", status=503)
    with pytest.raises(RateLimited):
        canned.client.call(READ, id=1)
    assert canned.governor.refusals == [Lane.LIVE]


def test_portal_that_shuts_us_out_is_told_as_a_final_failure(canned):
    canned.problem(WRITE, "OVERLOAD_LIMIT", "In the portal's own words", status=503)
    with pytest.raises(ShutOut):
        canned.client.call(WRITE, id=1)
    assert canned.governor.refusals == []
    assert [(failure.cause, failure.is_final) for failure in canned.governor.failures] == [(ShutOut.cause, True)]


def test_portal_without_an_answer_of_its_own_is_told_as_down(canned):
    canned.answer(WRITE, body="<html>Bad Gateway</html>", status=502)
    with pytest.raises(OutcomeUnknown):
        canned.client.call(WRITE, id=1)
    told = [(failure.cause, failure.is_final) for failure in canned.governor.failures]
    assert told == [(RemoteUnavailable.cause, False)]  # never outcome_unknown: that is one record's matter


def test_method_that_breaks_is_no_portal_that_is_down(canned):
    canned.problem(WRITE, "INTERNAL_SERVER_ERROR", "In the portal's own words", status=500)
    with pytest.raises(OutcomeUnknown):
        canned.client.call(WRITE, id=1)
    assert canned.governor.failures == []
    assert [told.is_lost for told in canned.governor.settled] == [True]


def test_answer_that_nobody_need_wait_for_is_a_portal_that_is_well(canned):
    canned.problem(READ, "NOT_FOUND", status=400)
    with pytest.raises(LinkBroken):
        canned.client.call(READ, id=1)
    assert (canned.governor.refusals, canned.governor.failures) == ([], [])
    assert [(told.spent, told.refused, told.is_lost) for told in canned.governor.settled] == [({}, set(), False)]


@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"])
def test_server_error_leaves_a_write_unknown(canned, code):
    canned.problem(WRITE, code, status=500)
    with pytest.raises(OutcomeUnknown):
        canned.client.call(WRITE, id=1, fields={})


@pytest.mark.parametrize("code", ["QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"])
def test_limit_refuses_a_write_before_it_is_done(canned, code):
    canned.problem(WRITE, code, status=503)
    with pytest.raises(RateLimited):
        canned.client.call(WRITE, id=1, fields={})


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize(("method", "error"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_page_of_a_proxy_is_a_server_error(canned, status, method, error):
    canned.answer(method, status=status, body=HTML, content_type="text/html")
    with pytest.raises(error, match=f"HTTP {status}"):
        canned.client.call(method, id=1)


@pytest.mark.parametrize("body", [HTML, '{"result": {"ID": "4', "", "[]", "null", "{}"])
@pytest.mark.parametrize(("method", "error"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_200_without_a_result_is_a_lost_answer(canned, body, method, error):
    canned.answer(method, body=body)
    with pytest.raises(error):
        canned.client.call(method, id=1)


def test_200_with_an_error_inside_is_that_error(canned):
    canned.problem("crm.contact.company.items.get", "", "Not found", status=200)
    with pytest.raises(LinkBroken):
        canned.client.call("crm.contact.company.items.get", id=1)


@pytest.mark.parametrize(("status", "error"), [(403, Misconfigured), (404, ShutOut), (401, ShutOut)])
def test_page_with_a_client_error_is_told_by_its_status(canned, status, error):
    canned.answer(READ, status=status, body=HTML, content_type="text/html")
    with pytest.raises(error) as raised:
        canned.client.call(READ, id=1)
    assert type(raised.value) is error


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_renamed_portal_is_not_followed(canned, status):
    canned.answer(READ, status=status, body="", headers={"Location": "https://renamed.example/rest/"})
    with pytest.raises(ShutOut, match=r"address has changed.*B24_WEBHOOK_URL"):
        canned.client.call(READ, id=1)
    assert len(canned.mock.calls) == 1


def test_command_of_a_batch_has_its_own_error(canned):
    problems = {"gone": {"error": "", "error_description": "Not found"}, "full": {"error": "OPERATION_TIME_LIMIT"}}
    canned.answer("batch", {"result": {"result": {"there": {"ID": "1"}}, "result_error": problems}})
    commands = {key: Command(method=READ, params={"id": 1}) for key in ("there", "gone", "full")}
    batch = canned.client.batch(commands)
    assert batch.get("there") == {"ID": "1"}
    with pytest.raises(LinkBroken):
        batch.get("gone")
    with pytest.raises(RateLimited):
        batch.get("full")


def test_server_error_inside_a_batch_is_unknown_for_the_write_and_passing_for_the_read(canned):
    problem = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Internal server error"}
    canned.answer("batch", {"result": {"result": [], "result_error": {"read": problem, "write": problem}}})
    batch = canned.client.batch({"read": Command(method=READ), "write": Command(method=WRITE)})
    assert {key: type(error) for key, error in batch.errors.items()} == {
        "read": RemoteUnavailable,
        "write": OutcomeUnknown,
    }


@pytest.mark.parametrize(
    ("code", "description", "field", "is_required"),
    [
        ("CRM_FIELD_ERROR_REQUIRED", 'The "Comments" field is required', "Comments", True),
        ("crm_field_error_required", "Поле «Комментарий» обязательно для заполнения", "Комментарий", True),
        (
            "CRM_FIELD_ERROR_REQUIRED",
            'The "Name" field is required\nThe "Phone" field is required',
            "Name, Phone",
            True,
        ),
        ("CRM_FIELD_ERROR_REQUIRED", "", None, True),
        ("ERROR_CORE", 'Не заполнено обязательное поле "Регион"', "Регион", True),
        ("ERROR_CORE", "The 'ORDER_TOPIC' field is required.", "ORDER_TOPIC", True),
        ("", "Необходимо заполнить поле “Регион”", "Регион", True),
        ("CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage"', "Stage", False),
        ("ERROR_CORE", 'The status "NONE" does not exist.', None, False),
        ("ERROR_CORE", "Invalid e-mail: 'a@b'", None, False),  # what is quoted is no field, and personal
        ("-", "Insufficient permissions to change the stage", None, False),
        ("ACCESS_DENIED", "An approval is required for this", None, False),  # a code says more than words
    ],
)
def test_refusal_names_the_field_that_it_is_about(canned, code, description, field, is_required):
    canned.problem(WRITE, code, description)
    with pytest.raises(RemoteRejected) as raised:
        canned.client.call(WRITE, id=1)
    assert raised.value.field == field
    assert is_required_field(raised.value) is is_required
    assert raised.value.topic == " ".join(part for part in (code, field) if part)
