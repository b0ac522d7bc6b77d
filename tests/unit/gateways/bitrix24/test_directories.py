"""What changes seldom is asked once in ten minutes."""

from __future__ import annotations

import pytest

from sync_worker.domain.identity import RecordType
from sync_worker.errors import Misconfigured, RemoteRejected, RemoteUnavailable
from sync_worker.gateways.bitrix24.directories import LIFE_SECONDS, Directories

MARIA = {"ID": "2", "LAST_NAME": "Менеджерова", "NAME": "Мария", "EMAIL": "Manager@Example.com", "ACTIVE": True}


class Seconds:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def directories(canned, seconds):
    return Directories(client=canned.client, monotonic=seconds)


def test_user_is_asked_once(canned, directories):
    canned.answer("user.get", {"result": [MARIA]})
    assert directories.user("2").email == "manager@example.com"
    assert directories.user(2).name == "Менеджерова Мария"
    assert len(canned.mock.calls) == 1


def test_user_is_asked_again_when_the_answer_is_old(canned, directories, seconds):
    canned.answer("user.get", {"result": []})
    canned.answer("user.get", {"result": [MARIA]})
    assert directories.user("2") is None
    seconds.at += LIFE_SECONDS - 1
    assert directories.user("2") is None  # that there is nobody is remembered as well
    seconds.at += 2
    assert directories.user("2").id == "2"


def test_failed_question_is_not_remembered(canned, directories):
    canned.problem("user.get", "INTERNAL_SERVER_ERROR", status=500)
    canned.answer("user.get", {"result": [MARIA]})
    with pytest.raises(RemoteUnavailable):
        directories.user("2")
    assert directories.user("2").id == "2"


@pytest.mark.parametrize("nobody", [None, "", "0", 0])
def test_nobody_is_not_asked_for(directories, nobody):
    assert directories.user(nobody) is None


@pytest.mark.parametrize("email", [None, "", "no address"])
def test_no_email_finds_nobody(directories, email):
    assert directories.user_by_email(email) is None


def test_filter_that_the_scope_ignores_finds_nobody(canned, directories):
    others = [{"ID": "1", "NAME": "Обмен"}, {"ID": "5", "EMAIL": "other@example.com"}]
    canned.answer("user.get", {"result": others})
    assert directories.user_by_email("manager@example.com") is None


def test_email_is_found_whatever_its_case(canned, directories):
    canned.answer("user.get", {"result": [{"ID": "5", "EMAIL": "other@example.com"}, MARIA]})
    assert directories.user_by_email("MANAGER@example.com").id == "2"


@pytest.mark.parametrize(
    ("categories", "id_"),
    [
        ([{"id": 5, "isDefault": "N"}, {"id": 7, "isDefault": "Y"}], 7),
        ([{"id": 5, "isDefault": "N"}, {"id": 7, "isDefault": "N"}], 5),
    ],
)
def test_default_invoice_category(canned, directories, categories, id_):
    canned.answer("crm.category.list", {"result": {"categories": categories}})
    assert [directories.invoice_category(0), directories.invoice_category(0)] == [id_, id_]
    assert len(canned.mock.calls) == 1


def test_category_of_the_settings_is_not_asked_for(directories):
    assert directories.invoice_category(9) == 9


def test_portal_without_smart_invoices_says_what_to_do(canned, directories):
    canned.answer("crm.category.list", {"result": {"categories": []}})
    with pytest.raises(RemoteRejected, match=r"invoices\.kind"):
        directories.invoice_category(0)


def test_field_that_is_there_is_looked_for_once(canned, directories):
    canned.answer("crm.deal.userfield.list", {"result": [{"FIELD_NAME": "UF_CRM_1C_ID"}]})
    directories.require_onec_field(RecordType.DEAL)
    directories.require_onec_field(RecordType.DEAL)
    assert len(canned.mock.calls) == 1


def test_field_that_is_missing_is_looked_for_until_somebody_makes_it(canned, directories):
    canned.answer("crm.deal.userfield.list", {"result": []})
    canned.answer("crm.deal.userfield.list", {"result": [{"FIELD_NAME": "UF_CRM_1C_ID"}]})
    with pytest.raises(Misconfigured, match="sync-worker setup"):
        directories.require_onec_field(RecordType.DEAL)
    directories.require_onec_field(RecordType.DEAL)


def test_webhook_that_may_not_look_is_believed_to_have_the_field(canned, directories):
    canned.problem("crm.lead.userfield.list", "", "Access denied.")
    directories.require_onec_field(RecordType.LEAD)


def test_webhook_without_the_user_scope_knows_nobody_and_stops_no_record(canned, directories):
    canned.problem("user.get", "insufficient_scope", status=401)
    assert directories.user("2") is None


def test_webhook_that_may_not_list_fields_does_not_stop_the_record(canned, directories):
    canned.problem("crm.deal.userfield.list", "insufficient_scope", status=401)
    directories.require_onec_field(RecordType.DEAL)
