"""How calls are written and answered: addresses, encodings, envelopes, refusals."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import requests

from tests.sandbox.portal_peer import running, sample


def test_method_is_found_in_any_case_with_and_without_json_suffix_and_trailing_slash():
    with running() as peer:
        for name in ("profile", "PROFILE", "profile.json", "profile/", "profile.json/"):
            assert peer.call(name)["ID"] == "1"


def test_get_query_form_and_json_name_the_same_parameters():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна"})
        by_query = peer.session.get(f"{peer.base}crm.contact.list?filter[ID]={contact_id}&select[]=NAME", timeout=20)
        by_form = peer.session.post(
            f"{peer.base}crm.contact.list", data={"filter[ID]": contact_id, "select[0]": "NAME"}, timeout=20
        )
        by_both = peer.session.post(
            f"{peer.base}crm.contact.list?select[]=NAME", json={"filter": {"ID": contact_id}}, timeout=20
        )
        by_json = peer.post("crm.contact.list", filter={"ID": contact_id}, select=["NAME"])
    answers = [answer.json()["result"] for answer in (by_query, by_form, by_both, by_json)]
    assert answers == [[{"NAME": "Анна"}]] * 4


def test_top_level_names_of_classic_methods_come_in_any_case():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", **sample("crm.contact.add.request.json"))
        assert peer.call("crm.contact.update", ID=contact_id, FIELDS={"POST": "Директор"}) is True
        assert peer.call("crm.contact.get", Id=contact_id)["POST"] == "Директор"


def test_unknown_fields_are_ignored_in_silence():
    with running() as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна", "NAMME": "x", "UF_CRM_NOBODY": "y"})
        record = peer.call("crm.contact.get", id=contact_id)
        assert "NAMME" not in record
        assert "UF_CRM_NOBODY" not in record


def test_envelope_has_the_whole_time_object():
    with running() as peer:
        time = peer.body("crm.contact.list")["time"]
    assert set(time) == {
        *("start", "finish", "duration", "processing", "date_start", "date_finish"),
        *("operating_reset_at", "operating"),
    }
    assert isinstance(time["operating_reset_at"], int)
    assert datetime.fromisoformat(time["date_start"]).utcoffset().total_seconds() == 3 * 3600


def test_total_and_next_stand_beside_result_and_only_for_lists():
    with running() as peer:
        assert {"total", "next"}.isdisjoint(peer.body("crm.contact.fields"))
        assert peer.body("crm.contact.list")["total"] == 0


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_secret_is_refused_with_the_status_that_is_set(status):
    with running(wrong_secret_status=status) as peer:
        answer = requests.post(f"{peer.url}/rest/1/not-a-secret/profile", timeout=20)
        assert (answer.status_code, answer.json()) == (status, sample("system-error.INVALID_CREDENTIALS.json"))
        stolen = requests.post(f"{peer.url}/rest/2/sandbox-secret-of-the-exchange/profile", timeout=20)
        assert stolen.status_code == status


def test_call_without_a_webhook_is_no_auth_found():
    with running() as peer:
        answer = requests.post(f"{peer.url}/rest/crm.contact.list", timeout=20)
        assert (answer.status_code, answer.json()["error"]) == (401, "NO_AUTH_FOUND")


def test_unknown_method_is_404():
    with running() as peer:
        assert peer.refused("crm.nothing.here") == (404, "ERROR_METHOD_NOT_FOUND", "Method not found!")


def test_rest_v3_has_nothing_of_the_crm():
    with running() as peer:
        answer = requests.post(f"{peer.url}/rest/api/1/sandbox-secret-of-the-exchange/crm.contact.list", timeout=20)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "params", "told"),
    [
        ("crm.contact.get", {"id": 99}, (400, "", "Not found")),
        ("crm.company.get", {"id": 99}, (400, "", "Not found")),
        ("crm.lead.get", {"id": 99}, (400, "", "Not found")),
        ("crm.deal.get", {"id": 99}, (400, "", "Not found")),
        ("crm.contact.update", {"id": 99, "fields": {}}, (400, "", "Contact is not found")),
        ("crm.company.update", {"id": 99, "fields": {}}, (400, "", "Company is not found")),
        ("crm.requisite.get", {"id": 57}, (400, "", "The Requisite with ID '57' is not found")),
        ("crm.contact.get", {"id": "abc"}, (400, "", "ID is not defined or invalid.")),
        ("crm.contact.delete", {"id": 99}, (400, "ERROR_CORE", "Element not found")),
        ("crm.item.get", {"entityTypeId": 2, "id": 99}, (400, "NOT_FOUND", "Element not found")),
        ("crm.item.delete", {"entityTypeId": 2, "id": 99}, (400, "NOT_FOUND", "Item not found")),
        ("crm.deal.contact.items.get", {"id": 99}, (400, "", "Not found.")),
        ("crm.timeline.comment.get", {"id": 99}, (400, "", "Not found.")),
    ],
)
def test_missing_record_has_many_spellings_and_is_always_400(method, params, told):
    with running() as peer:
        assert peer.refused(method, **params) == told


@pytest.mark.parametrize("name", ["fields", "filter", "order"])
def test_parameter_that_is_no_array_has_an_empty_code(name):
    method = "crm.contact.add" if name == "fields" else "crm.contact.list"
    with running() as peer:
        assert peer.refused(method, **{name: "text"}) == (400, "", f"Parameter '{name}' must be array.")


def test_error_code_is_the_number_0_in_stage_history_of_what_has_no_stages():
    with running() as peer:
        status, code, _description = peer.refused("crm.stagehistory.list", entityTypeId=3)
        assert (status, code) == (400, 0)
        assert isinstance(code, int)


def test_error_code_is_a_sentence_in_duplicates():
    with running() as peer:
        answer = peer.refused("crm.duplicate.findbycomm", values=["1"])
        assert answer == (400, "Communication type is not defined", "Parameter 'type' is required.")


@pytest.mark.parametrize("method", ["event.bind", "event.get", "events", "event.offline.get", "event.test"])
def test_event_methods_are_refused_to_webhooks(method):
    with running() as peer:
        status, code, _description = peer.refused(method)
        assert (status, code) == (403, "WRONG_AUTH_TYPE")


def test_app_info_is_refused_with_400():
    with running() as peer:
        answer = peer.refused("app.info")
        assert answer == (400, "ACCESS_DENIED", "Access denied! Application context required")


def test_missing_rights_are_400_with_an_empty_code():
    with running() as peer:
        answer = peer.of_manager("crm.contact.userfield.add", fields={"USER_TYPE_ID": "string", "FIELD_NAME": "A"})
        assert (answer.status_code, answer.json()) == (400, {"error": "", "error_description": "Access denied."})


def test_method_get_tells_what_exists():
    with running() as peer:
        assert peer.call("method.get", name="crm.item.add") == {"isExisting": True, "isAvailable": True}
        assert peer.call("method.get", name="event.bind") == {"isExisting": True, "isAvailable": False}
        assert peer.call("method.get", name="crm.nothing") == {"isExisting": False, "isAvailable": False}


def test_feature_get_without_code_is_refused():
    with running() as peer:
        assert peer.refused("feature.get")[1] == "CODE_EMPTY"
        assert peer.call("feature.get", CODE="rest_auth_connector") == {"value": "N"}


def test_body_that_is_no_json_is_no_parameters():
    with running() as peer:
        answer = peer.session.post(
            f"{peer.base}crm.contact.get", data=b"{broken", headers={"Content-Type": "application/json"}, timeout=20
        )
        assert (answer.status_code, json.loads(answer.content)["error"]) == (400, "")
