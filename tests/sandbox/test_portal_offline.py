"""The sandbox's local application: its tokens, whom its methods refuse, and its queue, held to the samples."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandbox.portal.settings import ApplicationSettings
from tests.sandbox.portal_peer import FakeClock, running, sample

APPLICATION = ApplicationSettings()
GRANT = {
    "grant_type": "refresh_token",
    "client_id": APPLICATION.client_id,
    "client_secret": APPLICATION.client_secret,
}


class App:
    """A client of the portal by OAuth."""

    def __init__(self, peer):
        self.peer = peer
        self.refresh_token = APPLICATION.refresh_token
        self.token = ""

    def renew(self, **changed):
        params = {**GRANT, "refresh_token": self.refresh_token} | changed
        answer = self.peer.session.get(f"{self.peer.url}/oauth/token/", params=params, timeout=20)
        body = answer.json()
        if answer.ok:
            self.token, self.refresh_token = body["access_token"], body["refresh_token"]
        return answer.status_code, body

    def post(self, method, /, **params):
        body = {"auth": self.token, **params}
        return self.peer.session.post(f"{self.peer.url}/rest/{method}", json=body, timeout=20)

    def call(self, method, /, **params):
        answer = self.post(method, **params)
        assert answer.ok, answer.text
        return answer.json()["result"]

    def refused(self, method, /, **params):
        answer = self.post(method, **params)
        return answer.status_code, answer.json()["error"]

    def listen(self, *codes):
        for code in codes:
            assert self.call("event.bind", event=code, event_type="offline") is True

    def rows(self, **params):
        return self.call("event.offline.list", **params)


@contextmanager
def app(**settings):
    with running(**settings) as peer:
        one = App(peer)
        one.renew()
        yield one


def contact(one, name="Осипова"):
    return one.peer.call("crm.contact.add", fields={"LAST_NAME": name})


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_each_renewal_brings_another_refresh_token_and_uses_up_the_one_before():
    with app() as one:
        used = one.refresh_token
        status, body = one.renew()
        assert status == 200
        assert body["refresh_token"] != used
        assert body["client_endpoint"] == f"{one.peer.url}/rest/"
        assert one.renew(refresh_token=used) == (
            400,
            {"error": "invalid_grant", "error_description": "Invalid refresh token"},
        )
        assert one.call("profile")["ID"] == "1"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_secret": "another"}, "invalid_client"),
        ({"client_id": "another"}, "invalid_client"),
        ({"grant_type": "password"}, "invalid_request"),
        ({"refresh_token": ""}, "invalid_grant"),
    ],
)
def test_what_is_no_grant_is_refused(changed, error):
    with app() as one:
        assert one.renew(**changed)[1]["error"] == error


def test_a_token_ends_after_its_time_and_says_so_as_documented():
    clock = FakeClock()
    with app(clock=clock) as one:
        clock.pass_seconds(3599)
        assert one.call("server.time")
        clock.pass_seconds(2)
        answer = one.post("server.time")
        assert (answer.status_code, answer.json()) == (401, sample("system-error.expired_token.json"))


@pytest.mark.parametrize("token", ["", "nobodys"])
def test_without_a_token_there_is_no_application(token):
    with app() as one:
        one.token = token
        answer = one.post("event.get")
        assert (answer.status_code, answer.json()) == (401, sample("system-error.NO_AUTH_FOUND.json"))


def test_an_application_spends_of_the_portals_bucket_too():
    with app(rate_per_second=1, burst=3) as one:
        answers = [one.post("server.time").status_code for _ in range(6)]
        assert answers[0] == 200
        assert answers[-1] == 503


# --- who may what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["event.bind", "event.get", "event.offline.get", "event.offline.list"])
def test_a_webhook_is_refused(method):
    with app() as one:
        assert one.peer.refused(method)[:2] == (403, "WRONG_AUTH_TYPE")


def test_nobody_but_an_administrator_reads_the_queue():
    with app(application=replace(APPLICATION, user_id=2)) as one:
        for name in ("get", "list", "clear", "error"):
            answer = one.post(f"event.offline.{name}", process_id="x")
            assert (answer.status_code, answer.json()) == (403, sample(f"event.offline.{name}.error.json"))
        assert one.refused("event.bind", event="ONCRMLEADADD", event_type="offline") == (403, "ACCESS_DENIED")
        assert one.post("event.unbind", event="ONCRMLEADADD", event_type="offline").json() == sample(
            "event.unbind.error.json"
        )


def test_an_event_that_nobody_knows_is_refused_as_documented():
    with app() as one:
        answer = one.post("event.bind", event="ONNOTHING", event_type="offline")
        assert (answer.status_code, answer.json()) == (400, sample("event.bind.error.json"))


def test_what_is_bound_is_told_in_the_documented_shape():
    with app() as one:
        one.listen("ONCRMLEADADD")
        (told,) = one.call("event.get")
        assert set(told) == set(sample("event.get.response.json")["result"][0])
        assert (told["event"], told["offline"]) == ("ONCRMLEADADD", 1)
        assert not one.post("event.bind", event="ONCRMLEADADD", event_type="offline").ok
        assert one.call("event.unbind", event="ONCRMLEADADD", event_type="offline") == {"count": 1}
        assert one.call("event.get") == []


def test_where_the_plan_has_no_reservation_only_taking_is_possible():
    with app(reserves_offline_rows=False) as one:
        one.listen("ONCRMCONTACTADD")
        contact(one)
        assert one.call("feature.get", CODE="rest_offline_extended") == {"value": "N"}
        assert one.refused("event.offline.get", clear=0) == (403, "ACCESS_DENIED")
        answer = one.call("event.offline.get")
        assert (answer["process_id"], len(answer["events"])) == (None, 1)
        assert one.rows() == []


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_have_the_documented_shape():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        contact(one)
        (listed,) = one.rows()
        (given,) = one.call("event.offline.get", clear=0)["events"]
        assert set(listed) == set(sample("event.offline.list.response.json")["result"][0])
        assert set(given) == set(sample("event.offline.get.response.json")["result"]["events"][0])
        assert given["EVENT_DATA"] == {"FIELDS": {"ID": "1"}}


def test_only_what_is_bound_is_noted_and_only_from_then_on():
    with app() as one:
        contact(one)
        one.listen("ONCRMCONTACTADD")
        id_ = contact(one)
        one.peer.call("crm.contact.update", id=id_, fields={"NAME": "Анна"})
        assert [row["EVENT_DATA"]["FIELDS"]["ID"] for row in one.rows()] == [str(id_)]


def test_one_row_an_object_with_the_time_of_its_last_change():
    clock = FakeClock()
    with app(clock=clock) as one:
        one.listen("ONCRMCONTACTUPDATE")
        id_ = contact(one)
        for name in ("Анна", "Яна"):
            clock.pass_seconds(60)
            one.peer.call("crm.contact.update", id=id_, fields={"NAME": name})
        first, *more = one.rows()
        assert more == []
        reserved = one.call("event.offline.get", clear=0)
        clock.pass_seconds(60)
        one.peer.call("crm.contact.update", id=id_, fields={"NAME": "Инна"})
        assert [row["PROCESS_ID"] for row in one.rows()] == [reserved["process_id"], ""]
        assert first["TIMESTAMP_X"] < one.rows()[1]["TIMESTAMP_X"]


def test_fifty_at_once_and_to_each_caller_others():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        for number in range(60):
            contact(one, f"Человек{number}")
        first, second = (one.call("event.offline.get", clear=0) for _ in range(2))
        assert (len(first["events"]), len(second["events"])) == (50, 10)
        assert one.call("event.offline.get", clear=0)["events"] == []
        again = one.call("event.offline.get", clear=0, process_id=second["process_id"])
        assert again == second
        assert len(one.rows()) == 50
        assert len(one.rows(start=50)) == 10
        assert len(one.rows(filter={"=PROCESS_ID": second["process_id"]})) == 10
        assert len(one.rows(filter={">PROCESS_ID": ""}, start=50)) == 10


def test_reserved_rows_stay_until_they_are_cleared():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        for name in ("Первая", "Вторая", "Третья"):
            contact(one, name)
        taken = one.call("event.offline.get", clear=0)
        ids = [row["ID"] for row in taken["events"]]
        assert one.call("event.offline.clear", process_id="another") is True
        assert len(one.rows()) == 3
        assert one.call("event.offline.clear", process_id=taken["process_id"], id=[int(ids[0])]) is True
        named = [taken["events"][1]["MESSAGE_ID"]]
        assert one.call("event.offline.clear", process_id=taken["process_id"], message_id=named) is True
        assert [row["ID"] for row in one.rows()] == ids[2:]
        assert one.call("event.offline.clear", process_id=taken["process_id"]) is True
        assert one.rows() == []
        assert not one.post("event.offline.clear").ok


def test_rows_marked_as_failed_come_only_when_asked_for():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        contact(one)
        taken = one.call("event.offline.get", clear=0)
        named = [row["MESSAGE_ID"] for row in taken["events"]]
        assert one.call("event.offline.error", process_id=taken["process_id"], message_id=named) is True
        assert one.call("event.offline.get", clear=0)["events"] == []
        assert len(one.rows(filter={"ERROR": 1})) == 1
        assert len(one.call("event.offline.get", clear=0, error=1)["events"]) == 1


def test_filters_are_those_of_the_documentation():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        for name in ("Первая", "Вторая", "Третья"):
            contact(one, name)
        taken = one.call("event.offline.get", clear=1, filter={"<=ID": 2}, order={"ID": "DESC"})
        assert [row["ID"] for row in taken["events"]] == ["2", "1"]
        assert not one.post("event.offline.list", filter={"!ID": 1}).ok
        assert not one.post("event.offline.list", filter={"%NOTHING": 1}).ok
        assert not one.post("event.offline.list", order={"NOTHING": "ASC"}).ok
        assert not one.post("event.offline.get", limit=0).ok


def test_a_fresh_portal_has_no_rows():
    with app() as one:
        one.listen("ONCRMCONTACTADD")
        contact(one)
        one.peer.sandbox("reset", {})
        assert one.rows() == []
        assert one.call("app.info")["STATUS"] == "L"
