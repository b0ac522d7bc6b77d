"""A network that fails for real: what the client makes of it, and that the webhook's secret stays out of it all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sync_worker.domain.identity import Lane
from sync_worker.errors import OutcomeUnknown, RateLimited, RemoteUnavailable
from sync_worker.gateways.bitrix24 import transport
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from tests.contract.portal_world import client_of, everything_said
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import EXCHANGE, running
from tests.services import free_port

READ, WRITE = "crm.contact.list", "crm.contact.add"
LOST = [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)]


def failure_of(client: Bitrix24Client, method: str) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011  (its type is the caller's to check)
        client.call(method, fields={"NAME": "Анна"})
    return raised.value


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
    monkeypatch.setattr(transport, "READ_SECONDS", 0.05)
    with silent_server() as url, client_of(url) as client:
        error = failure_of(client, method)
    assert type(error) is kind
    assert EXCHANGE not in everything_said(error)


@pytest.mark.parametrize(
    "fault", ["http500", "http502", "http503", "html", "truncated", "no_result", "reset_before", "reset_after"]
)
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
    governor = StandInGovernor()
    with running(rate_per_second=0.001, burst=1) as peer, client_of(peer.base, governor) as client:
        client.call(READ)
        error = failure_of(client, READ)
    assert isinstance(error, RateLimited)
    assert governor.refusals == [Lane.LIVE]
    assert governor.failures == []


@pytest.mark.parametrize(("last", "kind"), LOST)
def test_reset_after_a_batch_with_one_write_is_unknown(last, kind):
    commands = {"read": Command(method=READ), "last": Command(method=last, params={"fields": {}})}
    with running(faults="reset_after:batch=1") as peer, client_of(peer.base) as client, pytest.raises(kind):
        client.batch(commands)
