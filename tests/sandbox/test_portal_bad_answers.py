"""Answers that are no answers: cut, moved, refused for good, or 200 with something else inside."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.portal_peer import running, sample


def contacts(peer):
    return len(peer.portal.store.table(3))


def test_truncated_ends_in_the_middle_and_its_length_matches():
    with running(faults="truncated:crm.contact.add=1x1") as peer:
        answer = peer.post("crm.contact.add", fields={"NAME": "Анна"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        assert answer.text.startswith('{"result":1,')
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(answer.text)
        assert contacts(peer) == 1
        assert peer.call("crm.contact.add", fields={"NAME": "Анна"}) == 2


def test_truncated_batch_has_done_all_its_commands():
    with running(faults="truncated:batch=1x1") as peer:
        answer = peer.post("batch", cmd={"a": "crm.contact.add?fields[NAME]=x", "b": "crm.contact.add?fields[NAME]=y"})
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(answer.text)
        assert contacts(peer) == 2


def test_renamed_portal_sends_its_callers_to_the_same_path_of_another_host():
    with running() as renamed, running(faults="renamed", renamed_to=renamed.url) as peer:
        url = f"{peer.base}crm.contact.add"
        answer = peer.session.post(url, json={"fields": {"NAME": "Анна"}}, allow_redirects=False, timeout=20)
        assert (answer.status_code, answer.headers["Content-Type"]) == (302, "text/html")
        assert answer.headers["Location"] == f"{renamed.base}crm.contact.add"
        assert contacts(peer) == 0
        followed = peer.session.post(answer.headers["Location"], json={"fields": {"NAME": "Анна"}}, timeout=20)
        assert (followed.json()["result"], contacts(renamed)) == (1, 1)


def test_renamed_portal_goes_nowhere_by_default():
    with running(faults="renamed:profile") as peer:
        answer = peer.session.post(f"{peer.base}profile", allow_redirects=False, timeout=20)
    assert answer.headers["Location"].startswith("https://renamed-portal.invalid/rest/1/")


def test_error_in_200_is_an_error_envelope_and_nothing_was_done():
    with running(faults="error_in_200:crm.contact.add=1x1") as peer:
        answer = peer.refused("crm.contact.add", fields={"NAME": "Анна"})
        assert answer == (200, "INTERNAL_SERVER_ERROR", "Internal server error")
        assert contacts(peer) == 0


def test_no_result_has_neither_result_nor_error_though_the_work_was_done():
    with running(faults="no_result:crm.contact.add=1x1") as peer:
        assert set(peer.body("crm.contact.add", fields={"NAME": "Анна"})) == {"time"}
        assert contacts(peer) == 1


def test_no_result_of_an_inner_command_leaves_its_key_out_of_every_map():
    with running(faults="no_result:crm.contact.add=1x1") as peer:
        outcome = peer.batch(a="crm.contact.add?fields[NAME]=x", b="crm.contact.add?fields[NAME]=y")
        assert (outcome["result"], outcome["result_error"]) == ({"b": 2}, [])
        assert contacts(peer) == 2


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("blocked", 503, sample("system-error.OVERLOAD_LIMIT.json")),
        ("expired", 401, {"error": "expired_token", "error_description": "The access token provided has expired"}),
        (
            "licence",
            403,
            {"error": "ACCESS_DENIED", "error_description": "REST API is available only on commercial plans"},
        ),
    ],
)
def test_portal_that_refuses_for_good_does_nothing(kind, status, body):
    with running(faults=kind) as peer:
        for method, params in (
            ("crm.contact.add", {"fields": {"NAME": "Анна"}}),
            ("batch", {"cmd": {"a": "crm.contact.add?fields[NAME]=x"}}),
        ):
            answer = peer.post(method, **params)
            assert (answer.status_code, answer.json()) == (status, body)
        assert contacts(peer) == 0


@pytest.mark.parametrize("kind", ["blocked", "expired", "licence", "renamed", "truncated"])
def test_what_concerns_the_whole_portal_or_body_strikes_no_inner_command(kind):
    with running(faults=f"{kind}:crm.contact.add") as peer:
        outcome = peer.batch(a="crm.contact.add?fields[NAME]=x")
        assert (outcome["result"], outcome["result_error"]) == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("truncated", (200, "truncated")),
        ("renamed", (302, "renamed")),
        ("error_in_200", (200, "INTERNAL_SERVER_ERROR")),
        ("no_result", (200, "no_result")),
        ("blocked", (503, "OVERLOAD_LIMIT")),
        ("expired", (401, "expired_token")),
        ("licence", (403, "ACCESS_DENIED")),
    ],
)
def test_bad_answers_are_switched_on_and_off_at_run_time_and_told_in_the_journal(kind, told):
    with running() as peer:
        peer.call("profile")
        peer.sandbox("faults", {"spec": f"{kind}:profile"})
        for _ in range(2):
            peer.session.post(f"{peer.base}profile", allow_redirects=False, timeout=20)
        peer.sandbox("faults", {"spec": ""})
        peer.call("profile")
        calls = peer.sandbox("journal")["calls"]
    assert [(call["status"], call["error"]) for call in calls] == [(200, None), told, told, (200, None)]
