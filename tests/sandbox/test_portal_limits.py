"""The two budgets of a portal: requests, and running time."""

from __future__ import annotations

import threading

import pytest
import requests

from sandbox.portal import Portal, PortalSettings
from sandbox.portal.bucket import LeakyBucket
from sandbox.portal.clock import PortalClock
from sandbox.portal.operating import OperatingBudget
from tests.sandbox.portal_peer import FakeClock, running, sample


@pytest.mark.parametrize(("plan", "threshold", "leak"), [("standard", 50, 2), ("enterprise", 250, 5)])
def test_plan_sets_threshold_and_leak(plan, threshold, leak):
    clock = FakeClock()
    portal = Portal(PortalSettings(plan=plan), clock=clock)
    taken = sum(portal.rest.bucket.take() for _ in range(threshold + 20))
    assert taken == threshold
    clock.pass_seconds(1)
    assert sum(portal.rest.bucket.take() for _ in range(20)) == leak


def test_bucket_drops_once_a_second_and_not_smoothly():
    clock = FakeClock()
    bucket = LeakyBucket(leak_per_second=2, threshold=2, seconds=clock)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.pass_seconds(0.9)
    assert not bucket.take()
    clock.pass_seconds(0.1)
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_request_above_the_threshold_is_503_query_limit_exceeded():
    with running(clock=FakeClock(), rate_per_second=2, burst=3) as peer:
        for _ in range(3):
            peer.call("profile")
        answer = peer.post("profile")
        assert (answer.status_code, answer.json()) == (503, sample("system-error.QUERY_LIMIT_EXCEEDED.json"))
        assert peer.sandbox("journal")["counters"]["refused_503"] == 1


def test_bucket_never_lets_a_crowd_pass_together():
    with running(clock=FakeClock(), rate_per_second=2, burst=10) as peer:
        statuses = []

        def ask() -> None:
            statuses.append(requests.post(f"{peer.base}profile", timeout=20).status_code)

        threads = [threading.Thread(target=ask) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 10 + [503] * 20


def test_batch_counts_as_one_request_whatever_it_contains():
    with running(clock=FakeClock(), rate_per_second=2, burst=2) as peer:
        outcome = peer.batch(**{f"c{index}": "profile" for index in range(50)})
        assert len(outcome["result"]) == 50
        assert peer.post("profile").status_code == 200
        assert peer.post("profile").status_code == 503


def test_pages_and_control_do_not_count_against_the_bucket():
    with running(clock=FakeClock(), rate_per_second=2, burst=1) as peer:
        for number in range(5):
            assert peer.form("/ui/contacts", {"name": f"Имя {number}"}).status_code == 201
            peer.sandbox("state")
        assert peer.post("profile").status_code == 200


def make_budget(limit_seconds: float = 480) -> tuple[OperatingBudget, FakeClock]:
    clock = FakeClock(at=1_790_000_000.0)
    return OperatingBudget(limit_seconds=limit_seconds, clock=PortalClock(clock)), clock


def test_operating_is_the_sum_of_ten_one_minute_buckets():
    budget, clock = make_budget()
    for minute in range(10):
        spent, _resets_at = budget.spend("secret", "crm.contact.list", 10 + minute)
        clock.pass_seconds(60)
    assert spent == sum(range(10, 20))
    assert budget.spend("secret", "crm.contact.list", 0)[0] == sum(range(11, 20))


def test_operating_reset_at_is_the_first_call_of_the_oldest_bucket_plus_600_seconds():
    budget, clock = make_budget()
    first_at = clock.at
    budget.spend("secret", "m", 1)
    clock.pass_seconds(130)
    assert budget.spend("secret", "m", 1)[1] == int(first_at + 600)


def test_operating_falls_by_the_oldest_bucket_only():
    """The documentation's own example: 500 s used, 40 s of them in the oldest minute."""
    budget, clock = make_budget()
    budget.spend("secret", "m", 40)
    clock.pass_seconds(60)
    budget.spend("secret", "m", 460)
    assert budget.is_spent("secret", "m")
    clock.pass_seconds(540)
    assert not budget.is_spent("secret", "m")
    assert budget.spend("secret", "m", 0)[0] == 460


def test_operating_is_kept_per_method_and_per_webhook():
    budget, _clock = make_budget(limit_seconds=1)
    budget.spend("one", "m", 2)
    assert budget.is_spent("one", "m")
    assert not budget.is_spent("one", "other")
    assert not budget.is_spent("two", "m")


def test_call_that_crosses_the_line_completes_and_the_next_is_429():
    with running(operating_limit_seconds=0.0) as peer:
        peer.call("crm.contact.list")
        answer = peer.post("crm.contact.list")
        assert (answer.status_code, answer.json()) == (429, sample("system-error.OPERATION_TIME_LIMIT.json"))
        assert peer.call("crm.deal.list") == []
        assert peer.sandbox("journal")["counters"]["refused_429"] == 1


def test_commands_of_a_batch_spend_their_own_methods_budget():
    with running(operating_limit_seconds=0.0) as peer:
        outcome = peer.batch(a="crm.contact.list", b="crm.contact.list", c="crm.deal.list")
        assert outcome["result_error"] == {"b": sample("system-error.OPERATION_TIME_LIMIT.json")}
        assert set(outcome["result"]) == {"a", "c"}
        assert peer.post("batch", cmd={"a": "profile"}).status_code == 200


def test_latency_is_paid_by_every_command_and_shows_in_operating():
    with running(latency_seconds=2.0, time_scale=1000.0) as peer:
        outcome = peer.batch(a="crm.contact.list", b="crm.contact.list")
        assert outcome["result_time"]["a"]["operating"] >= 2
        assert outcome["result_time"]["b"]["operating"] >= 4


def test_request_longer_than_60_seconds_is_cut_and_what_was_done_stays():
    with running(latency_seconds=20.0, time_scale=100.0) as peer:
        commands = {f"c{index}": f"crm.contact.add?fields[NAME]=Имя{index}" for index in range(5)}
        answer = peer.post("batch", halt=0, cmd=commands)
        assert answer.status_code == 504
        assert "json" not in answer.headers["Content-Type"]
        assert 1 <= len(peer.portal.store.table(3)) <= 3


def test_unknown_plan_is_a_mistake_of_the_settings():
    with pytest.raises(ValueError, match="plan is 'gold'"):
        PortalSettings(plan="gold")
