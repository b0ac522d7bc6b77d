"""A network that fails for real: what the client makes of it, and that the webhook's secret stays out of it all."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from sync_worker.errors import OutcomeUnknown, RateLimited, RemoteUnavailable
from sync_worker.gateways.bitrix24 import client as client_module
from sync_worker.gateways.bitrix24.client import Bitrix24Client, Command
from sync_worker.gateways.bitrix24.throttle import Limits, Throttle
from tests.contract.portal_world import OpenBucket
from tests.sandbox.portal_peer import EXCHANGE, running
from tests.services import free_port

READ, WRITE = "crm.contact.list", "crm.contact.add"
LOST = [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)]


class PenaltyBucket(OpenBucket):
    def __init__(self) -> None:
        self.penalties: list[float] = []

    def penalise(self, seconds: float) -> None:
        self.penalties.append(seconds)


@contextmanager
def client_of(url: str, bucket: OpenBucket | None = None) -> Iterator[Bitrix24Client]:
    throttle = Throttle(bucket=bucket or OpenBucket(), limits=Limits(rate_per_second=9, burst=99), sleep=lambda _: None)
    with requests.Session() as http:
        yield Bitrix24Client(webhook_url=url, throttle=throttle, http=http)


def failure_of(client: Bitrix24Client, method: str) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011  (its type is the caller's to check)
        client.call(method, fields={"NAME": "Анна"})
    return raised.value


def everything_said(error: BaseException) -> str:
    """All that a log, a dead letter or an error report could show of it: its whole chain, suppressed parts too."""
    said, chain = [], [error]
    for one in chain:
        said += [str(one), repr(one), repr(one.args), "".join(traceback.format_exception(one, chain=True))]
        chain += [inner for inner in (one.__cause__, one.__context__) if inner is not None and inner not in chain]
    return "\n".join(said)


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/rest/1/{EXCHANGE}"


@pytest.mark.parametrize("method", [READ, WRITE])
def test_refused_connection_wrote_nothing_and_says_no_secret(method):
    with client_of(f"http://127.0.0.1:{free_port()}/rest/1/{EXCHANGE}") as client:
        error = failure_of(client, method)
    assert isinstance(error, RemoteUnavailable)
    assert EXCHANGE not in everything_said(error)


@pytest.mark.parametrize(("method", "kind"), LOST)
def test_timeout_leaves_a_write_unknown_and_says_no_secret(monkeypatch, method, kind):
    monkeypatch.setattr(client_module, "READ_SECONDS", 0.05)
    with silent_server() as url, client_of(url) as client:
        error = failure_of(client, method)
    assert type(error) is kind
    assert EXCHANGE not in everything_said(error)


@pytest.mark.parametrize("fault", ["http500", "http502", "http503", "html", "reset_before", "reset_after"])
@pytest.mark.parametrize(("method", "kind"), LOST)
def test_fault_of_the_portal_leaves_a_write_unknown_and_says_no_secret(fault, method, kind):
    with running(faults=f"{fault}:{method}=1") as peer, client_of(peer.base) as client:
        error = failure_of(client, method)
    assert type(error) is kind
    assert EXCHANGE not in everything_said(error)


def test_refusal_of_the_portal_says_no_secret():
    with running() as peer, client_of(peer.base) as client:
        error = failure_of(client, "crm.contact.get")
    assert EXCHANGE not in everything_said(error)


def test_portals_own_503_makes_everybody_step_back():
    bucket = PenaltyBucket()
    with running(rate_per_second=0.001, burst=1) as peer, client_of(peer.base, bucket) as client:
        client.call(READ)
        error = failure_of(client, READ)
    assert isinstance(error, RateLimited)
    assert bucket.penalties == [5.0]


def test_reset_after_a_batch_with_one_write_is_unknown():
    with running(faults="reset_after:batch=1") as peer, client_of(peer.base) as client:
        with pytest.raises(OutcomeUnknown):
            client.batch({"read": Command(method=READ), "write": Command(method=WRITE, params={"fields": {}})})
        with pytest.raises(RemoteUnavailable):
            client.batch({"read": Command(method=READ)})
