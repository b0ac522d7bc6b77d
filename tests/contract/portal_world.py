"""The Bitrix24 gateways over real HTTP to the sandbox's portal."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.contact import Bitrix24Counterparties
from sync_worker.gateways.bitrix24.deal import Bitrix24Deals
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.invoice import OldInvoices, SmartInvoices
from sync_worker.gateways.bitrix24.lead import Bitrix24Leads
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import Peer, running

INN, KPP, SOLE_INN = "7707083893", "773601001", "500100732259"
ONEC_ID = "11111111-2222-3333-4444-555555555555"
OTHER_ONEC_ID = "99999999-2222-3333-4444-555555555555"
PRESETS = {Kind.COMPANY: 1, Kind.SOLE_TRADER: 3, Kind.PERSON: 5}


class PortalWorld:
    """A portal, a peer that looks at it, and the gateways to it."""

    def __init__(self, peer: Peer, http: requests.Session) -> None:
        self.peer = peer
        self.governor = StandInGovernor()
        self.client = Bitrix24Client(webhook_url=peer.base, governor=self.governor, http=http)
        self.directories = Directories(client=self.client, monotonic=time.monotonic)

    @property
    def parties(self) -> Bitrix24Counterparties:
        return Bitrix24Counterparties(client=self.client, directories=self.directories, presets=PRESETS)

    @property
    def leads(self) -> Bitrix24Leads:
        return Bitrix24Leads(client=self.client, directories=self.directories, portal_origin=self.peer.url)

    @property
    def deals(self) -> Bitrix24Deals:
        return Bitrix24Deals(client=self.client, directories=self.directories, portal_origin=self.peer.url)

    @property
    def smart_invoices(self) -> SmartInvoices:
        return SmartInvoices(client=self.client, directories=self.directories, category=0)

    @property
    def old_invoices(self) -> OldInvoices:
        return OldInvoices(client=self.client)

    def know_users(self) -> None:
        """Have both employees asked for, so that a test counts its own requests only."""
        for id_ in (1, 2):
            self.directories.user(id_)
        for email in ("exchange@example.com", "manager@example.com"):
            self.directories.user_by_email(email)

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The requests made in the block, by method; filled when it ends."""
        made: list[str] = []
        before = len(self.peer.portal.journal)
        yield made
        made += [call["method"] for call in self.peer.portal.journal[before:]]

    # --- what stands on the portal -----------------------------------------------------------------------------------

    def company(self, **fields: Any) -> RecordRef:
        id_ = self.peer.call("crm.company.add", fields={"TITLE": "ООО Ромашка", **fields})
        return bitrix24_ref(RecordType.COMPANY, id_)

    def contact(self, **fields: Any) -> RecordRef:
        id_ = self.peer.call("crm.contact.add", fields={"LAST_NAME": "Осипова", "NAME": "Анна", **fields})
        return bitrix24_ref(RecordType.CONTACT, id_)

    def requisite(self, owner: RecordRef, *, preset: int = 1, **fields: str) -> int:
        type_id = 4 if owner.type is RecordType.COMPANY else 3
        whose = {"ENTITY_TYPE_ID": type_id, "ENTITY_ID": owner.id, "PRESET_ID": preset, "NAME": "Реквизиты"}
        return self.peer.call("crm.requisite.add", fields={**whose, **fields})

    def address(self, requisite_id: int, type_id: int, **fields: str) -> None:
        key = {"TYPE_ID": type_id, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite_id}
        self.peer.call("crm.address.add", fields={**key, **fields})

    def deal(self, **fields: Any) -> RecordRef:
        return bitrix24_ref(RecordType.DEAL, self.peer.call("crm.deal.add", fields={"TITLE": "Кофемашины", **fields}))


@contextmanager
def client_of(url: str, governor: StandInGovernor | None = None, **how: Any) -> Iterator[Bitrix24Client]:
    """A client of whatever stands at this address, with nothing that slows it."""
    with requests.Session() as http:
        yield Bitrix24Client(webhook_url=url, governor=governor or StandInGovernor(), http=http, **how)


def everything_said(error: BaseException) -> str:
    """All that a log, a dead letter or an error report could show of it: its whole chain, suppressed parts too."""
    said, chain = [], [error]
    for one in chain:
        said += [str(one), repr(one), repr(one.args), "".join(traceback.format_exception(one, chain=True))]
        chain += [inner for inner in (one.__cause__, one.__context__) if inner is not None and inner not in chain]
    return "\n".join(said)


@contextmanager
def portal_world(**settings: Any) -> Iterator[PortalWorld]:
    with running(**{"with_user_fields": True, **settings}) as peer, requests.Session() as http:
        world = PortalWorld(peer, http)
        yield world
        assert world.governor.refusals == []  # the portal has no limit here


def onec_party(*, kind: Kind = Kind.COMPANY, id_: str = ONEC_ID, **fields: Any) -> CounterpartyRecord:
    """A counterparty as 1C's gateway reads it."""
    blank = dict.fromkeys(("full_name", "inn", "kpp", "ogrn", "responsible", "comment"))
    lists = {"emails": [], "phones": [], "addresses": []}
    name = "Осипова Анна Петровна" if kind is Kind.PERSON else "ООО Ромашка"
    return CounterpartyRecord(
        ref=onec_ref(RecordType.COUNTERPARTY, id_), kind=kind, fields={**blank, **lists, "name": name, **fields}
    )
