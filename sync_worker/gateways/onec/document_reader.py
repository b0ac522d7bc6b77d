"""Leads and orders read back from 1C (port DocumentReader)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.domain.values import text_or_none
from sync_worker.entities.document import Document
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.schemas.shapes import is_onec_id, read_rows
from sync_worker.gateways.onec.schemas.status import order_status_from_state
from sync_worker.gateways.onec.upserts import RESOURCES

WITH_DELETED = {"deleted": "true"}


class OnecDocumentReader:
    def __init__(self, *, client: OnecClient) -> None:
        self._client = client

    def find(self, type_: RecordType, *, external_id: str | None, known: RecordRef | None) -> Document | None:
        """The one of this `external_id`, else `known`; marked for deletion too. None where 1C has neither."""
        queries = [{"external_id": external_id}] if external_id else []
        queries += [{"ref": known.id}] if known is not None and is_onec_id(known.id) else []
        for query in queries:
            if found := self._client.list_all(RESOURCES[type_], {**query, **WITH_DELETED}):
                return read_document(type_, found[0])
        return None


def read_document(type_: RecordType, record: Mapping[str, Any]) -> Document:
    """Out of the contract's LeadRecord or OrderRecord."""
    ref, external_id = onec_ref(type_, record["ref"]), text_or_none(record.get("external_id"))
    sequence, is_deleted = int(record["sequence"]), bool(record.get("deleted"))
    status = order_status_from_state(
        ref, data=record, sequence=sequence, external_id=external_id, is_deleted=is_deleted
    )
    return Document(
        ref=ref,
        external_id=external_id,
        fields={**record, **({"rows": read_rows(record["rows"])} if "rows" in record else {})},
        number=text_or_none(record.get("number")),
        version=str(record["version"]),
        sequence=sequence,
        is_deleted=is_deleted,
        status=status if type_ is RecordType.ORDER else None,
    )
