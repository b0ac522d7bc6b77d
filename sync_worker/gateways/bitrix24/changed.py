"""What was changed on the portal, what is there no more, and what carries a 1C ref: ids and stamps only.

Lists go by rising ID without counting (`start` -1), 50 rows a page. Source: reference, Paging 2.4; huge-data.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_worker.domain.drift import Carrying, Stamped
from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.values import text_or_none
from sync_worker.errors import RemoteUnavailable, SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.invoice import SMART_INVOICE_TYPE_ID

PAGE_SIZE = 50
_OWNERS = {"3": RecordType.CONTACT, "4": RecordType.COMPANY}  # ENTITY_TYPE_ID of a requisite


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """How one kind of record is listed."""

    method: str
    id_field: str = "ID"
    stamp: str = "DATE_MODIFY"
    rows_in: str | None = None  # where in the result the rows are; None: it is the rows
    params: Mapping[str, Any] | None = None
    more: tuple[str, ...] = ()  # fields to select beside id and stamp

    def page(self, wanted: Mapping[str, Any], *, after: str, select: Sequence[str]) -> Command:
        paging = {
            "filter": {**wanted, f">{self.id_field}": after},
            "order": {self.id_field: "ASC"},
            "select": [self.id_field, *select, *self.more],
            "start": -1,
        }
        return Command(method=self.method, params={**(self.params or {}), **paging})

    def rows(self, result: Any) -> list[Mapping[str, Any]]:
        """Errors: RemoteUnavailable where the answer is no list: it must not be taken for an empty one."""
        found = result.get(self.rows_in) if self.rows_in and isinstance(result, Mapping) else result
        if not isinstance(found, list):
            raise RemoteUnavailable(f"Bitrix24 {self.method}: the answer has no list of rows")
        return found


SMART_INVOICES = Listing(
    method="crm.item.list",
    id_field="id",
    stamp="updatedTime",
    rows_in="items",
    params={"entityTypeId": SMART_INVOICE_TYPE_ID},
)
OLD_INVOICES = Listing(method="crm.invoice.list", stamp="DATE_UPDATE")
REQUISITES = Listing(method="crm.requisite.list", more=("ENTITY_TYPE_ID", "ENTITY_ID"))
NEW_REQUISITES = Listing(method="crm.requisite.list", stamp="DATE_CREATE", more=("ENTITY_TYPE_ID", "ENTITY_ID"))
_CLASSIC = {
    RecordType.CONTACT: Listing(method="crm.contact.list"),
    RecordType.COMPANY: Listing(method="crm.company.list", more=("IS_MY_COMPANY",)),
    RecordType.LEAD: Listing(method="crm.lead.list"),
    RecordType.DEAL: Listing(method="crm.deal.list"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Changed:
    """Port: PortalSide (sync/sweep_ports.py). Errors of all: those of the client, and RemoteUnavailable."""

    client: Bitrix24Client
    has_smart_invoices: bool

    def now(self) -> datetime:
        """The portal's time, to the second."""
        return _moment(self.client.call("server.time"), what="server.time")

    def changed(self, type_: RecordType, since: datetime) -> Iterator[list[Stamped]]:
        """Records changed at `since` or after it, a page at a time; of requisites their owners."""
        if type_ is RecordType.REQUISITE:
            yield from self._changed_owners(since)
            return
        listing = self._listing(type_)
        for rows in self._pages(listing, {f">={listing.stamp}": since.isoformat()}, select=[listing.stamp]):
            yield [_stamped(type_, row, listing) for row in rows if row.get("IS_MY_COMPANY") != "Y"]

    def _changed_owners(self, since: datetime) -> Iterator[list[Stamped]]:
        own: set[RecordRef] | None = None
        for listing in (NEW_REQUISITES, REQUISITES):  # DATE_MODIFY is blank until the first change (reference, 3.4)
            for rows in self._pages(listing, {f">={listing.stamp}": since.isoformat()}, select=[listing.stamp]):
                own = self._own_companies() if own is None else own
                owners = (_stamped_owner(row, listing) for row in rows)
                yield [owner for owner in owners if owner is not None and owner.ref not in own]

    def _own_companies(self) -> set[RecordRef]:
        """Those that the portal's user issues invoices in the name of: nobody's counterparties."""
        listing = self._listing(RecordType.COMPANY)
        pages = self._pages(listing, {"IS_MY_COMPANY": "Y"}, select=[])
        return {bitrix24_ref(RecordType.COMPANY, row["ID"]) for rows in pages for row in rows}

    def carrying(self, type_: RecordType, before: datetime) -> Iterator[list[Carrying]]:
        """All records of this type with a 1C ref on them that were last changed before that moment."""
        listing = self._listing(type_)
        wanted = {f"!{ONEC_ID_FIELD}": "", f"<{listing.stamp}": before.isoformat()}
        for rows in self._pages(listing, wanted, select=[ONEC_ID_FIELD]):
            yield [
                Carrying(ref=bitrix24_ref(type_, row["ID"]), onec_id=onec_id)
                for row in rows
                if (onec_id := text_or_none(row.get(ONEC_ID_FIELD)))
            ]

    def gone(self, refs: Iterable[RecordRef]) -> list[RecordRef]:
        """Those of `refs` that the portal does not list, or not to us."""
        by_type: dict[RecordType, list[str]] = {}
        for ref in refs:
            by_type.setdefault(ref.type, []).append(ref.id)
        asked = [(type_, ids) for type_, all_ids in by_type.items() for ids in _chunks(all_ids)]
        answers = self.client.run_many([self._by_ids(type_, ids) for type_, ids in asked])
        return [
            bitrix24_ref(type_, id_)
            for (type_, ids), answer in zip(asked, answers, strict=True)
            for id_ in sorted(set(ids) - self._listed(type_, answer), key=int)
        ]

    def _by_ids(self, type_: RecordType, ids: Sequence[str]) -> Command:
        listing = self._listing(type_)
        return listing.page({f"@{listing.id_field}": list(ids)}, after="0", select=[])

    def _listed(self, type_: RecordType, answer: Any) -> set[str]:
        if isinstance(answer, SyncError):
            raise answer
        listing = self._listing(type_)
        return {str(row[listing.id_field]) for row in listing.rows(answer)}

    def _pages(
        self, listing: Listing, wanted: Mapping[str, Any], *, select: Sequence[str]
    ) -> Iterator[list[Mapping[str, Any]]]:
        after = "0"
        while True:
            rows = listing.rows(self.client.run(listing.page(wanted, after=after, select=select)))
            if rows:
                yield rows
            if len(rows) < PAGE_SIZE:
                return
            last = str(rows[-1][listing.id_field])
            if int(last) <= int(after):  # it does not heed the filter: the same page would come for ever
                raise RemoteUnavailable(f"Bitrix24 {listing.method}: a page does not follow the one before")
            after = last

    def _listing(self, type_: RecordType) -> Listing:
        if type_ is RecordType.INVOICE:
            return SMART_INVOICES if self.has_smart_invoices else OLD_INVOICES
        return _CLASSIC[type_]


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + PAGE_SIZE] for start in range(0, len(ids), PAGE_SIZE))


def _stamped(type_: RecordType, row: Mapping[str, Any], listing: Listing) -> Stamped:
    changed_at = _moment(row.get(listing.stamp), what=listing.method)
    return Stamped(ref=bitrix24_ref(type_, row[listing.id_field]), changed_at=changed_at)


def _stamped_owner(row: Mapping[str, Any], listing: Listing) -> Stamped | None:
    """Whose requisite it is; None where it is neither a contact's nor a company's."""
    owner = _OWNERS.get(str(row.get("ENTITY_TYPE_ID")))
    if owner is None:
        return None
    changed_at = _moment(row.get(listing.stamp), what=listing.method)
    return Stamped(ref=bitrix24_ref(owner, row["ENTITY_ID"]), changed_at=changed_at, whole=True)


def _moment(value: object, *, what: str) -> datetime:
    """ISO 8601 with the server's offset (reference, 5: dates)."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RemoteUnavailable(f"Bitrix24 {what}: {value!r} is no moment")
    return moment
