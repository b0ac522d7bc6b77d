"""1C's counterparties (port CounterpartySide)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.schemas.contact import (
    can_be_sought,
    counterparty_from_state,
    is_inn_shaped,
    read_counterparty,
    read_fields,
    show_counterparty,
)
from sync_worker.gateways.onec.schemas.shapes import is_onec_id
from sync_worker.gateways.onec.upserts import UpsertResult, upsert_one

PATH = "/counterparties"
WITH_DELETED = {"deleted": "true"}


class OnecCounterparties:
    """Reads and writes контрагенты. A write is one call; nothing is read back that the result already tells."""

    def __init__(self, *, client: OnecClient) -> None:
        self._client = client

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        """Marked for deletion too; None where the base has none, or where the id is not one of 1C's."""
        if not is_onec_id(ref.id):
            return None
        found = self._list({"ref": ref.id, **WITH_DELETED})
        return found[0] if found else None

    def find(self, keys: MatchKeys, *, linked_to: RecordRef) -> list[CounterpartyRecord]:
        """The one that is linked already, though it be marked for deletion; else all that share the ИНН or an e-mail.

        КПП is not asked for: a head office without one and a branch are both worth seeing. An ИНН with a wrong check
        digit is looked for like a good one; what has not even its shape stands on no card in 1C.
        """
        if linked := self._list({"external_id": linked_to.external_id, **WITH_DELETED}):
            return linked
        if keys.inn:
            return self._list({"inn": keys.inn}) if is_inn_shaped(keys.inn) else []
        found = [record for email in keys.emails if can_be_sought(email) for record in self._list({"email": email})]
        return list({record.ref: record for record in found}.values())

    def create(self, record: CounterpartyRecord, *, not_duplicate_of: Collection[str] = ()) -> CounterpartyRecord:
        """Create from a Bitrix24 record, keyed by its name. `not_duplicate_of`: ids that a person decided are others.

        Where the base has it already (an earlier answer was lost), that one is brought up to date.
        Errors: AmbiguousMatch, LinkBroken, OutcomeUnknown, RemoteRejected.
        """
        shown = show_counterparty(
            record.fields, value_kinds=record.value_kinds, responsible_name=record.responsible_name
        )
        key = _key(record.ref, not_duplicate_of)
        item = {**key, "kind": record.kind.value, **shown}
        result = upsert_one(self._client, RecordType.COUNTERPARTY, item)
        return _after_create(result, item) if result.outcome == "created" else self._after_meeting(result, item)

    def update(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        *,
        source: CounterpartyRecord,
        relink: bool = False,
        not_duplicate_of: Collection[str] = (),
    ) -> CounterpartyRecord:
        """Write the changed fields (`kind` may be one) and the link. No call is made where neither differs.

        `relink`: a person decided that a link which is taken moves here. Errors: VersionMoved, LinkBroken,
        AmbiguousMatch (the link is taken, or the new ИНН is another's), OutcomeUnknown, RemoteRejected.
        """
        if not changes and current.other_ref == source.ref.external_id:
            return current
        kinds = {**current.value_kinds, **source.value_kinds}
        shown = show_counterparty(changes, value_kinds=kinds, responsible_name=source.responsible_name)
        item = {
            **_key(source.ref, not_duplicate_of),
            "ref": current.ref.id,
            **({"if_version": current.version} if current.version else {}),
            **({"relink": True} if relink else {}),
            **shown,
        }
        return _after_update(current, upsert_one(self._client, RecordType.COUNTERPARTY, item), item)

    def _list(self, params: Mapping[str, str]) -> list[CounterpartyRecord]:
        return [read_counterparty(item) for item in self._client.list_all(PATH, params)]

    def _after_meeting(self, result: UpsertResult, item: Mapping[str, Any]) -> CounterpartyRecord:
        """What stood there before the item may have more fields than the item: it is read."""
        return self.read(onec_ref(RecordType.COUNTERPARTY, result.ref)) or _after_create(result, item)


def _key(ref: RecordRef, not_duplicate_of: Collection[str]) -> dict[str, Any]:
    return {
        "external_id": ref.external_id,
        **({"not_duplicate_of": list(not_duplicate_of)} if not_duplicate_of else {}),
    }


def _after_create(result: UpsertResult, item: Mapping[str, Any]) -> CounterpartyRecord:
    return counterparty_from_state(
        onec_ref(RecordType.COUNTERPARTY, result.ref),
        data=item,
        version=result.version,
        sequence=result.sequence,
        external_id=item["external_id"],
    )


def _after_update(current: CounterpartyRecord, result: UpsertResult, item: Mapping[str, Any]) -> CounterpartyRecord:
    written = _after_create(result, item)
    return replace(
        current,
        kind=written.kind if "kind" in item else current.kind,
        fields={**current.fields, **read_fields(item)},
        value_kinds={**current.value_kinds, **written.value_kinds},
        responsible_name=written.responsible_name if "responsible" in item else current.responsible_name,
        other_ref=written.other_ref,
        version=written.version,
        sequence=max(written.sequence, current.sequence),
    )
