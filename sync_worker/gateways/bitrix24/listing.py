"""All records of a portal by their ids, many pages in one request, and no more of each than its link needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import PARTNER_TYPE, RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.listed import Listed, ListPage
from sync_worker.domain.values import text_or_none
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.contact import origin_id
from sync_worker.gateways.bitrix24.schemas.invoice import SMART_INVOICE_TYPE_ID

PAGE_ROWS = 50  # of every list method (reference, 2.8)
PAGES_AT_ONCE = 10  # in one request; about as many rows as 1C gives in one answer
_ORIGIN = ("ORIGINATOR_ID", "ORIGIN_ID")
_SELECT = {
    RecordType.CONTACT: ("ID", "COMPANY_ID", *_ORIGIN, ONEC_ID_FIELD),
    RecordType.COMPANY: ("ID", "IS_MY_COMPANY", *_ORIGIN, ONEC_ID_FIELD),
    RecordType.LEAD: ("ID", ONEC_ID_FIELD),
    RecordType.DEAL: ("ID", ONEC_ID_FIELD),
}
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Listing:
    """Port: Bitrix24Pages."""

    client: Bitrix24Client
    has_smart_invoices: bool

    def pages(
        self, type_: RecordType, *, after: str | None = None, where: Mapping[str, Any] = NOTHING
    ) -> Iterator[ListPage]:
        """Those with an id above `after` that fit the filter `where`, by id, up to 50 a page.

        The first request asks for one page, each later one for several: every page begins after the last row of the
        one before it. Where that one was short there is no such row, and what the portal answers then is not looked
        at. Errors: those of the client; whoever goes on does so after the last page that was seen.
        """
        last, count = after or "0", 1
        while True:
            commands = dict(self._chain(type_, where, last, count))
            batch = self.client.batch(commands)
            for key in commands:
                rows = self._rows(type_, batch.get(key))
                is_last = len(rows) < PAGE_ROWS
                if rows:
                    last = self._id(type_, rows[-1])
                yield ListPage(rows=tuple(_listed(type_, row) for row in rows), after=None if is_last else last)
                if is_last:
                    return
            count = PAGES_AT_ONCE

    def last_id(self, type_: RecordType, *, where: Mapping[str, Any] = NOTHING) -> int:
        """The highest id of those that fit `where`; 0 where there is none."""
        rows = self._rows(type_, self.client.run(self._page(type_, where, None, newest_first=True)))
        return int(self._id(type_, rows[0])) if rows else 0

    def _chain(
        self, type_: RecordType, where: Mapping[str, Any], after: str, count: int
    ) -> Iterator[tuple[str, Command]]:
        for number in range(count):
            first_id = Result(f"page{number - 1}", self._last_row(type_)) if number else after
            yield f"page{number}", self._page(type_, where, first_id)

    def _page(
        self, type_: RecordType, where: Mapping[str, Any], after: Result | str | None, *, newest_first: bool = False
    ) -> Command:
        """`start: -1`: the portal counts nothing (reference 2.8)."""
        is_smart = self._is_smart(type_)
        id_field = self._id_field(type_)
        params = {
            "filter": {**where, **({} if after is None else {f">{id_field}": after})},
            "order": {id_field: "DESC" if newest_first else "ASC"},
            "select": self._select(type_),
            "start": -1,
            **({"entityTypeId": SMART_INVOICE_TYPE_ID} if is_smart else {}),
        }
        return Command(method="crm.item.list" if is_smart else f"crm.{type_}.list", params=params)

    def _select(self, type_: RecordType) -> tuple[str, ...]:
        if type_ is RecordType.INVOICE:
            return ("id", "xmlId") if self.has_smart_invoices else ("ID", "XML_ID")
        return _SELECT[type_]

    def _is_smart(self, type_: RecordType) -> bool:
        return type_ is RecordType.INVOICE and self.has_smart_invoices

    def _id_field(self, type_: RecordType) -> str:
        return "id" if self._is_smart(type_) else "ID"

    def _last_row(self, type_: RecordType) -> tuple[str | int, ...]:
        row = (PAGE_ROWS - 1, self._id_field(type_))
        return ("items", *row) if self._is_smart(type_) else row

    def _rows(self, type_: RecordType, answer: Any) -> list[dict[str, Any]]:
        return list((answer or {}).get("items", []) if self._is_smart(type_) else answer or [])

    def _id(self, type_: RecordType, row: Mapping[str, Any]) -> str:
        return str(row[self._id_field(type_)])


def _listed(type_: RecordType, row: Mapping[str, Any]) -> Listed:
    company_id = text_or_none(row.get("COMPANY_ID"))
    return Listed(
        record=bitrix24_ref(type_, row["id"] if "id" in row else row["ID"]),
        names=_named(type_, row),
        is_ours=row.get("IS_MY_COMPANY") == "Y",
        company_id=None if company_id == "0" else company_id,
    )


def _named(type_: RecordType, row: Mapping[str, Any]) -> RecordRef | None:
    """What our own field says counts before ORIGIN_ID, which stands for it on a portal without that field."""
    if type_ is RecordType.INVOICE:
        onec_id = text_or_none(row.get("xmlId") or row.get("XML_ID"))
    else:
        onec_id = text_or_none(row.get(ONEC_ID_FIELD)) or origin_id(row)
    return onec_ref(PARTNER_TYPE[type_], onec_id) if onec_id else None
