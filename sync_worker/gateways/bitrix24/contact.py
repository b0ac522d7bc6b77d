"""Contacts and companies with their requisites and addresses: Bitrix24's side of the counterparty."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.domain.values import normalise_code
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys, bitrix24_type
from sync_worker.errors import LinkBroken, RemoteRejected
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Batch, Command
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.reads import read_by_id
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD, ORIGINATOR
from sync_worker.gateways.bitrix24.schemas.contact import (
    ADDRESS_KINDS,
    ENTITY_TYPE_ID,
    REQUISITE_FIELDS,
    REQUISITE_TYPE_ID,
    address_fields,
    address_types,
    card_fields,
    changed_multifields,
    has_text,
    kind_of,
    new_card,
    new_requisite,
    origin_id,
    partner_fields,
    read_card,
    read_counterparty,
    requisite_fields,
)

_TYPE_BY_ID = {number: type_ for type_, number in ENTITY_TYPE_ID.items()}
_REQUISITE_SELECT = ("ID", "PRESET_ID", "RQ_INN", "RQ_KPP", "RQ_OGRN", "RQ_OGRNIP", "RQ_COMPANY_FULL_NAME")
_REQUISITE_KEY = "write_requisite"  # the command's key in the batch; addresses refer to its result
MAX_CANDIDATES = 10  # more than a person could choose from; the rest is named by its number only


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Counterparties:
    """Port: CounterpartySide, CounterpartyCards and RequisiteOwners."""

    client: Bitrix24Client
    directories: Directories
    presets: Mapping[Kind, int]

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        """Card, requisite and addresses in one request; of several requisites the first with an ИНН counts."""
        batch = self.client.batch(_questions(ref))
        return None if isinstance(batch.errors.get("card"), LinkBroken) else self._record(ref, batch)

    def read_card(self, ref: RecordRef, *, remembered: Mapping[str, Any], kind: Kind) -> CounterpartyRecord | None:
        """Only the card, one command that can be joined; what requisite and addresses hold is taken as remembered."""
        try:
            card = self.client.run(read_by_id(ref.type, ref.id))
        except LinkBroken:
            return None
        return self._card(ref, card, remembered, kind)

    def _card(
        self, ref: RecordRef, card: Mapping[str, Any], remembered: Mapping[str, Any], kind: Kind
    ) -> CounterpartyRecord:
        responsible = self.directories.user(card.get("ASSIGNED_BY_ID"))
        return read_card(ref, card, remembered=remembered, kind=kind, responsible=responsible)

    def _record(self, ref: RecordRef, batch: Batch) -> CounterpartyRecord:
        card = batch.get("card")
        requisites = batch.get("requisites") or []
        requisite = next((row for row in requisites if row.get("RQ_INN")), requisites[0] if requisites else None)
        return read_counterparty(
            ref,
            card,
            requisite,
            self._addresses(batch, requisite, requisites),
            responsible=self.directories.user(card.get("ASSIGNED_BY_ID")),
            sole_trader_preset=self.presets.get(Kind.SOLE_TRADER),
        )

    def _addresses(
        self, batch: Batch, requisite: Mapping[str, Any] | None, requisites: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        if requisite is None:
            return []  # the reference to its id was void, so whatever came is not ours
        rows = batch.get("addresses") if requisite is requisites[0] else self.client.run(_addresses_of(requisite["ID"]))
        return [row for row in rows or [] if str(row.get("ENTITY_ID")) == str(requisite["ID"])]

    def find(self, keys: MatchKeys, *, linked_to: RecordRef) -> list[CounterpartyRecord]:
        """Those that carry the 1C ref, and those with the ИНН or e-mail: one request, and one for each found."""
        batch = self.client.batch(_searches(keys, linked_to.id))
        refs: dict[RecordRef, None] = {}
        for type_ in ENTITY_TYPE_ID:
            for row in [*(batch.get(f"uf_{type_}") or []), *(batch.get(f"origin_{type_}") or [])]:
                # a filter by a field that the portal does not have is ignored, and would return everybody
                if linked_to.id in (row.get(ONEC_ID_FIELD), origin_id(row)):
                    refs[bitrix24_ref(type_, row["ID"])] = None
        for row in batch.get("inn") or []:
            owner_type = _TYPE_BY_ID.get(int(row["ENTITY_TYPE_ID"]))
            if normalise_code(row.get("RQ_INN")) == keys.inn and owner_type:
                refs[bitrix24_ref(owner_type, row["ENTITY_ID"])] = None
        for id_ in (batch.get("email") or {}).get("CONTACT", []):
            refs[bitrix24_ref(RecordType.CONTACT, id_)] = None
        found = (self.read(ref) for ref in list(refs)[:MAX_CANDIDATES])
        return [record for record in found if record is not None and not record.is_ours]

    def create(
        self,
        record: CounterpartyRecord,
        *,
        not_duplicate_of: Collection[str] = (),  # noqa: ARG002 (the portal looks for no duplicates)
    ) -> CounterpartyRecord:
        """Only the card: its link is saved before requisite and addresses follow by `update`."""
        type_ = bitrix24_type(record.kind)
        responsible = self.directories.user_by_email(record.fields.get("responsible"))
        fields = new_card(record, type_, responsible_id=responsible.id if responsible else None)
        id_ = self.client.call(f"crm.{type_}.add", fields=fields)
        created = self.read(bitrix24_ref(type_, id_))
        if created is None:
            raise LinkBroken(f"the {type_} {id_} was gone as soon as it was made")
        return created

    def update(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        *,
        source: CounterpartyRecord,
        relink: bool = False,  # noqa: ARG002 (the portal keeps whatever id is written into a card)
    ) -> CounterpartyRecord:
        """What was written is read back in the same request: the portal may have made something else of it.

        Of what was not written the older view counts. An edit that somebody made meanwhile has an event of its own,
        which would pass for our echo if it stood in the record that is returned.
        """
        if not current.is_whole:
            raise ValueError(f"{current.ref} was not read whole, so it cannot be written")
        changes, responsible_id = self._known_responsible(changes)
        writes = self._writes(current, changes, source, responsible_id)
        if not writes:
            return current
        questions = _questions_after(writes, current.ref, changes)
        batch = self.client.batch({**writes, **questions}, halt=len(writes) > 1)
        for key in writes:
            batch.get(key)
        if missing := writes.keys() - batch.results.keys():
            raise RemoteRejected(f"the portal did not run {', '.join(sorted(missing))} of {current.ref}")
        if not questions:
            return replace(current, other_ref=source.ref.id)
        if "requisites" in questions:
            after = self._record(current.ref, batch)
        else:
            after = self._card(current.ref, batch.get("card"), current.fields, current.kind)
        kept = {name: value for name, value in current.fields.items() if name in after.fields and name not in changes}
        return replace(after, fields={**after.fields, **kept})

    def _known_responsible(self, changes: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """A person whom the portal does not know is left out, and never stops a record (design, part 6)."""
        user = self.directories.user_by_email(changes.get("responsible"))
        left = {name: value for name, value in changes.items() if name != "responsible" or user}
        return left, user.id if user else None

    def _writes(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        source: CounterpartyRecord,
        responsible_id: str | None,
    ) -> dict[str, Command]:
        """Card, then requisite, then addresses: each needs the one before it."""
        ref = current.ref
        card = card_fields(ref.type, changes, responsible_id=responsible_id)
        card |= changed_multifields(current, changes, source.value_kinds)
        if current.other_ref != source.ref.id:
            card |= partner_fields(current.native["card"], source.ref.id)
        writes = {}
        if card:
            writes["write_card"] = Command(method=f"crm.{ref.type}.update", params={"id": ref.id, "fields": card})
        kind, requisite = self._write_requisite(current, changes, source.kind)
        if requisite is not None:
            writes[_REQUISITE_KEY] = requisite
        return writes | _write_addresses(current, changes, kind)

    def _write_requisite(
        self, current: CounterpartyRecord, changes: Mapping[str, Any], wanted_kind: Kind
    ) -> tuple[Kind, Command | None]:
        """The kind that the portal will see in the record, and the command that writes its requisite, if one is due.

        An ОГРН stands where that kind has it: one that becomes a sole trader by its new ИНН takes its number along.
        """
        ours = {name: value for name, value in changes.items() if name in REQUISITE_FIELDS}
        requisite = current.native["requisite"]
        if requisite is None and not any(ours.values()) and not changes.get("addresses"):
            return current.kind, None
        preset = self.presets.get(wanted_kind, self.presets.get(Kind.COMPANY, 1))
        seen = requisite or {"PRESET_ID": preset, "RQ_INN": None}
        kind = kind_of(current.ref, {**seen, **requisite_fields(wanted_kind, ours)}, self.presets.get(Kind.SOLE_TRADER))
        if kind is not current.kind and current.fields.get("ogrn"):
            ours.setdefault("ogrn", current.fields["ogrn"])
        if requisite is None:
            name = changes.get("name") or current.fields.get("name")
            params = {"fields": new_requisite(current.ref, kind, preset, name, ours)}
            return kind, Command(method="crm.requisite.add", params=params)
        if fields := requisite_fields(kind, ours):
            return kind, Command(method="crm.requisite.update", params={"id": requisite["ID"], "fields": fields})
        return kind, None

    def owner_of(self, requisite: RecordRef) -> RecordRef | None:
        try:
            row = self.client.run(read_by_id(RecordType.REQUISITE, requisite.id))
        except LinkBroken:
            return None
        type_ = _TYPE_BY_ID.get(int(row["ENTITY_TYPE_ID"]))
        return bitrix24_ref(type_, row["ENTITY_ID"]) if type_ else None


def _questions(ref: RecordRef) -> dict[str, Command]:
    """What a record is made of; the addresses are those of the first requisite, which is nearly always the only one."""
    owner = {"ENTITY_TYPE_ID": ENTITY_TYPE_ID[ref.type], "ENTITY_ID": ref.id}
    params = {"filter": owner, "order": {"ID": "ASC"}, "select": _REQUISITE_SELECT}
    return {
        "card": read_by_id(ref.type, ref.id),
        "requisites": Command(method="crm.requisite.list", params=params),
        "addresses": _addresses_of(Result("requisites", (0, "ID"))),
    }


def _questions_after(writes: Mapping[str, Command], ref: RecordRef, changes: Mapping[str, Any]) -> dict[str, Command]:
    """What has to be read back: nothing where only the partner's id was written, only the card where only that was."""
    if writes.keys() - {"write_card"}:
        return _questions(ref)
    return {"card": read_by_id(ref.type, ref.id)} if changes else {}


def _addresses_of(requisite_id: str | Result) -> Command:
    owner = {"ENTITY_TYPE_ID": REQUISITE_TYPE_ID, "ENTITY_ID": requisite_id}
    return Command(method="crm.address.list", params={"filter": owner, "order": {"TYPE_ID": "ASC"}})


def _searches(keys: MatchKeys, onec_id: str) -> dict[str, Command]:
    commands = {}
    for type_ in ENTITY_TYPE_ID:
        select = ["ID", ONEC_ID_FIELD, "ORIGINATOR_ID", "ORIGIN_ID"]
        for name, condition in (
            (f"uf_{type_}", {ONEC_ID_FIELD: onec_id}),
            (f"origin_{type_}", {"ORIGINATOR_ID": ORIGINATOR, "ORIGIN_ID": onec_id}),
        ):
            params = {"filter": condition, "select": select, "order": {"ID": "ASC"}, "start": -1}
            commands[name] = Command(method=f"crm.{type_}.list", params=params)
    if keys.inn:
        select = ["ID", "ENTITY_TYPE_ID", "ENTITY_ID", "RQ_INN", "RQ_KPP"]
        params = {"filter": {"RQ_INN": keys.inn}, "select": select, "order": {"ID": "ASC"}, "start": -1}
        commands["inn"] = Command(method="crm.requisite.list", params=params)
    if keys.emails:
        params = {"type": "EMAIL", "values": list(keys.emails[:20]), "entity_type": "CONTACT"}
        commands["email"] = Command(method="crm.duplicate.findbycomm", params=params)
    return commands


def _write_addresses(current: CounterpartyRecord, changes: Mapping[str, Any], kind: Kind) -> dict[str, Command]:
    """The commands for the addresses that differ; one that the other side no longer has is emptied."""
    if "addresses" not in changes:
        return {}
    before = {address["kind"]: address for address in current.fields.get("addresses") or []}
    wanted = {address["kind"]: address for address in changes["addresses"] or []}
    requisite = current.native["requisite"]
    requisite_id = str(requisite["ID"]) if requisite else Result(_REQUISITE_KEY)
    rows = {int(row["TYPE_ID"]): row for row in current.native["addresses"]}
    writes = {}
    for address_kind in [name for name in ADDRESS_KINDS if before.get(name) != wanted.get(name)]:
        types = address_types(current.ref.type, kind, address_kind)
        for type_id in _types_to_write(types, rows, is_emptied=address_kind not in wanted):
            fields = address_fields(type_id, wanted.get(address_kind, {}), requisite_id, rows.get(type_id))
            verb = "update" if type_id in rows else "add"
            writes[f"write_address_{type_id}"] = Command(method=f"crm.address.{verb}", params={"fields": fields})
    return writes


def _types_to_write(
    types: tuple[int, ...], rows: Mapping[int, Mapping[str, Any]], *, is_emptied: bool
) -> tuple[int, ...]:
    """An address is written where it is read from; to empty it, nothing may be left that could be read instead."""
    filled = tuple(type_id for type_id in types if type_id in rows and has_text(rows[type_id]))
    return filled if is_emptied else (filled or types)[:1]
