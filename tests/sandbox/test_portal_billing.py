"""Running time: whom a batch is charged to, in which seconds it is told, and what the network adds."""

from __future__ import annotations

import threading

import pytest

from sandbox.portal import PortalSettings
from tests.sandbox.portal_peer import FakeClock, running, sample, wait_until

LISTS = {"a": "crm.contact.list", "b": "crm.contact.list"}


def test_nested_billing_tells_no_operating_of_the_batch_itself():
    with running() as peer:
        body = peer.body("batch", cmd=LISTS)
    assert {"operating", "operating_reset_at"}.isdisjoint(body["time"])
    assert {"operating", "operating_reset_at"} <= set(body["result"]["result_time"]["a"])


def test_batch_billing_tells_the_operating_of_the_batch_and_of_no_command():
    with running(batch_billing="batch", latency_seconds=2.0, time_scale=1000.0) as peer:
        first, second = (peer.body("batch", cmd=LISTS) for _ in range(2))
    assert first["time"]["operating"] == pytest.approx(first["time"]["duration"])
    assert first["time"]["operating"] >= 4
    both = first["time"]["duration"] + second["time"]["duration"]
    assert second["time"]["operating"] == pytest.approx(both)
    assert isinstance(first["time"]["operating_reset_at"], int)
    for told in first["result"]["result_time"].values():
        assert {"operating", "operating_reset_at"}.isdisjoint(told)
        assert told["duration"] >= 2


def test_batch_weight_is_how_much_of_its_running_time_is_charged():
    with running(batch_billing="batch", batch_weight=0.25, latency_seconds=2.0, time_scale=1000.0) as peer:
        time = peer.body("batch", cmd=LISTS)["time"]
    assert time["operating"] == pytest.approx(time["duration"] / 4)


def test_spent_batch_is_429_for_the_whole_request_and_nothing_of_it_is_done():
    with running(batch_billing="batch", operating_limit_seconds=0.0) as peer:
        assert peer.batch(a="crm.contact.add?fields[NAME]=x")["result"] == {"a": 1}
        answer = peer.post("batch", cmd={"a": "crm.contact.add?fields[NAME]=y"})
        assert (answer.status_code, answer.json()) == (429, sample("system-error.OPERATION_TIME_LIMIT.json"))
        assert len(peer.portal.store.table(3)) == 1


def test_batch_billing_charges_no_method_for_its_commands():
    with running(batch_billing="batch", operating_limit_seconds=0.0) as peer:
        outcome = peer.batch(**LISTS, c="crm.contact.list")
        assert (len(outcome["result"]), outcome["result_error"]) == (3, [])
        assert peer.post("crm.contact.list").status_code == 200
        assert peer.post("crm.contact.list").status_code == 429
        assert peer.post("batch", cmd=LISTS).status_code == 429


def test_batch_that_is_cut_is_charged_all_the_same():
    with running(batch_billing="batch", latency_seconds=20.0, time_scale=1000.0, operating_limit_seconds=30.0) as peer:
        commands = {f"c{index}": "crm.contact.list" for index in range(5)}
        assert [peer.post("batch", cmd=commands).status_code for _ in range(2)] == [504, 429]


def test_durations_are_in_the_seconds_of_the_limits_and_stamps_in_real_ones():
    with running(latency_seconds=5.0, time_scale=1000.0) as peer:
        time = peer.body("profile")["time"]
        outer = peer.body("batch", cmd=LISTS)["time"]
    assert time["duration"] == time["processing"] == pytest.approx((time["finish"] - time["start"]) * 1000, rel=1e-3)
    assert time["duration"] == pytest.approx(time["operating"])
    assert time["duration"] >= 5
    assert outer["duration"] >= 10


def test_operating_reset_at_is_real_unix_time_whatever_the_scale():
    clock = FakeClock(at=1_790_000_000.0)
    with running(clock=clock, time_scale=100.0) as peer:
        assert peer.body("profile")["time"]["operating_reset_at"] == 1_790_000_000 + 6


def test_network_is_no_running_time_and_is_paid_once_a_request():
    with running(request_latency_seconds=400.0, request_limit_seconds=300.0, time_scale=1000.0) as peer:
        answer = peer.post("batch", cmd={f"c{index}": "crm.contact.list" for index in range(5)})
    assert (answer.status_code, len(answer.json()["result"]["result"])) == (200, 5)
    assert answer.elapsed.total_seconds() >= 0.4
    assert answer.json()["time"]["duration"] < 400


def test_slow_command_holds_nobody_else_up():
    """While a command takes its time, the records are free for others: its sleep is outside of the lock."""
    with running(latency_seconds=1.0) as peer:
        answered = threading.Event()

        def ask() -> None:
            peer.call("profile")
            answered.set()

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: peer.portal.journal_log.totals()["open_requests"] == 1)
        with peer.portal.world.lock:
            # whoever slept under the lock would have let us in only when its work was done
            assert not answered.wait(timeout=0.05)
        assert answered.wait(timeout=20)
        thread.join()


def test_unknown_billing_is_a_mistake_of_the_settings():
    with pytest.raises(ValueError, match="batch_billing is 'half'"):
        PortalSettings(batch_billing="half")
