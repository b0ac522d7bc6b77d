"""All records of a base, page by page, with the Bitrix24 record that each names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import PARTNER_TYPE, RecordRef, RecordType, onec_ref, parse_external_id
from sync_worker.domain.listed import Listed, ListPage
from sync_worker.domain.rules import Kind
from sync_worker.errors import RemoteRejected, RemoteUnavailable
from sync_worker.gateways.onec.client import PAGE_SIZE, OnecClient
from sync_worker.gateways.onec.schemas.shapes import read_kind
from sync_worker.gateways.onec.upserts import RESOURCES


@dataclass(frozen=True, kw_only=True, slots=True)
class OnecListing:
    """Port: OnecPages."""

    client: OnecClient

    def pages(self, type_: RecordType, *, after: str | None = None, with_deleted: bool) -> Iterator[ListPage]:
        """Oldest change first, up to 500 a page, beginning after the cursor `after`.

        One that changes meanwhile comes again at the end. A cursor that the base does not know any more, since it was
        kept for too long, means the beginning. Errors: those of the client.
        """
        page = self._ask_again(type_, after, with_deleted=with_deleted)
        while True:
            cursor = page.get("next") or None
            yield ListPage(rows=tuple(_listed(type_, item) for item in _items(type_, page)), after=cursor)
            if cursor is None:
                return
            page = self._ask(type_, cursor, with_deleted=with_deleted)

    def _ask_again(self, type_: RecordType, after: str | None, *, with_deleted: bool) -> Mapping[str, Any]:
        try:
            return self._ask(type_, after, with_deleted=with_deleted)
        except RemoteRejected:
            if after is None:
                raise
            return self._ask(type_, None, with_deleted=with_deleted)

    def _ask(self, type_: RecordType, after: str | None, *, with_deleted: bool) -> Mapping[str, Any]:
        params = {"limit": str(PAGE_SIZE)}
        params |= {"deleted": "true"} if with_deleted else {}
        params |= {"after": after} if after else {}
        return self.client.get(RESOURCES[type_], params)


def _items(type_: RecordType, page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = page.get("items")
    if not isinstance(items, list):
        raise RemoteUnavailable(f"1C GET {RESOURCES[type_]}: the answer has no list of items")
    return items


def _listed(type_: RecordType, item: Mapping[str, Any]) -> Listed:
    """Of an invoice all is kept: its event carries it."""
    return Listed(
        record=onec_ref(type_, item["ref"]),
        names=_named(type_, item),
        is_deleted=bool(item.get("deleted")),
        kind=read_kind(item.get("kind") or Kind.COMPANY, Kind) if type_ is RecordType.COUNTERPARTY else None,
        state=item if type_ is RecordType.INVOICE else {},
        sequence=int(item["sequence"]),
        version=str(item["version"]),
    )


def _named(type_: RecordType, item: Mapping[str, Any]) -> RecordRef | None:
    """None for a name of a record that this type is never linked to."""
    named = parse_external_id(item.get("external_id"))
    return named if named is not None and PARTNER_TYPE.get(named.type) is type_ else None
