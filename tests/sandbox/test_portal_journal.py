"""Counters for those who measure: exact, cheap, and without the list of calls."""

from __future__ import annotations

from tests.sandbox.portal_peer import FakeClock, running


def test_counters_tell_commands_by_method_and_how_full_batches_are():
    with running() as peer:
        peer.call("profile")
        peer.batch(a="profile", b="crm.contact.get?id=5", c="crm.deal.list")
        peer.batch(a="profile")
        counters = peer.sandbox("counters")
    assert (counters["requests"], counters["commands"]) == (3, 5)
    assert (counters["batches"], counters["batched_commands"], counters["most_in_batch"]) == (2, 4, 3)
    assert counters["average_fill"] == 2.0
    assert counters["methods"] == {"batch": 2, "crm.contact.get": 1, "crm.deal.list": 1, "profile": 3}
    assert "calls" not in counters


def test_counters_tell_refused_requests_and_refused_commands_apart():
    with running(clock=FakeClock(), rate_per_second=1, burst=4, operating_limit_seconds=-1.0) as peer:
        peer.post("crm.contact.list")
        peer.batch(a="crm.contact.list", b="crm.deal.list")
        peer.post("crm.deal.list")
        peer.post("crm.deal.list")
        peer.post("profile")
        counters = peer.sandbox("counters")
    assert (counters["refused_429_requests"], counters["refused_429_commands"]) == (3, 2)
    assert (counters["refused_429"], counters["refused_503"]) == (5, 1)


def test_spent_budget_of_the_batch_itself_is_one_refused_request():
    with running(batch_billing="batch", operating_limit_seconds=-1.0) as peer:
        assert peer.post("batch", cmd={"a": "profile", "b": "profile"}).status_code == 429
        counters = peer.sandbox("counters")
    assert (counters["refused_429_requests"], counters["refused_429_commands"]) == (1, 0)


def test_counters_begin_anew_and_the_records_stay():
    with running() as peer:
        peer.batch(a="crm.contact.add?fields[NAME]=x")
        begun = peer.sandbox("counters/reset", {})
        assert (begun["requests"], begun["most_in_batch"], begun["methods"]) == (0, 0, {})
        assert peer.sandbox("journal")["calls"] == []
        assert peer.call("crm.contact.get", id=1)["NAME"] == "x"
        assert peer.sandbox("counters")["methods"] == {"crm.contact.get": 1}


def test_journal_shows_the_newest_calls_alone():
    with running() as peer:
        for method in ("profile", "scope", "server.time"):
            peer.call(method)
        newest = peer.sandbox("journal?last=2")
        assert [call["method"] for call in newest["calls"]] == ["scope", "server.time"]
        assert newest["counters"]["requests"] == 3
        assert [len(peer.sandbox(f"journal?last={count}")["calls"]) for count in (0, 9)] == [0, 3]
