"""The states that 1C's events carry (port OnecStates). No call is made: the event brought all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from sync_worker.domain.identity import RecordRef
from sync_worker.entities.contact import CounterpartyRecord
from sync_worker.entities.invoice import Invoice
from sync_worker.entities.status import OrderStatus
from sync_worker.errors import BadEvent
from sync_worker.gateways.onec.schemas.contact import counterparty_from_state
from sync_worker.gateways.onec.schemas.invoice import invoice_from_state
from sync_worker.gateways.onec.schemas.status import order_status_from_state


class State(Protocol):
    """What contract.OnecState is."""

    @property
    def data(self) -> Mapping[str, Any] | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def external_id(self) -> str | None: ...


class OnecStates:
    """Errors of all: BadEvent where the state is not what the contract promises."""

    def counterparty(self, ref: RecordRef, state: State) -> CounterpartyRecord:
        with _bad_where_misshapen(ref):
            return counterparty_from_state(
                ref, data=state.data, version=state.version, sequence=state.sequence, external_id=state.external_id
            )

    def invoice(self, ref: RecordRef, state: State) -> Invoice:
        with _bad_where_misshapen(ref):
            return invoice_from_state(ref, data=state.data, version=state.version, sequence=state.sequence)

    def order_status(self, ref: RecordRef, state: State) -> OrderStatus:
        with _bad_where_misshapen(ref):
            return order_status_from_state(ref, data=state.data, sequence=state.sequence, external_id=state.external_id)


@contextmanager
def _bad_where_misshapen(ref: RecordRef) -> Iterator[None]:
    """The ingress holds events against the contract; what gets past it must still stop as an event, not as a crash."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadEvent(f"the state of {ref} does not have the contract's shape ({type(error).__name__})") from error
