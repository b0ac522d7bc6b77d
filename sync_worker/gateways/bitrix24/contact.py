"""Contacts and companies with their requisites and addresses: Bitrix24's side of the counterparty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys, bitrix24_type
from sync_worker.errors import LinkBroken, RemoteRejected
from sync_worker.gateways.bitrix24.client import Batch, Bitrix24Client, Command
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD, ORIGINATOR
from sync_worker.gateways.bitrix24.schemas.contact import (
    ENTITY_TYPE_ID,
    REQUISITE_FIELDS,
    REQUISITE_TYPE_ID,
    address_fields,
    card_fields,
    changed_multifields,
    new_card,
    new_requisite,
    read_counterparty,
    requisite_fields,
)

_TYPE_BY_ID = {number: type_ for type_, number in ENTITY_TYPE_ID.items()}
_REQUISITE_SELECT = ("ID", "PRESET_ID", "RQ_INN", "RQ_KPP", "RQ_OGRN", "RQ_OGRNIP", "RQ_COMPANY_FULL_NAME")
MAX_CANDIDATES = 10  # more than a person could choose from; the rest is named by its number only


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Counterparties:
    """Port: CounterpartySide and RequisiteOwners."""

    client: Bitrix24Client
    directories: Directories
    presets: Mapping[Kind, int]

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        """Card, requisite and addresses in one request; of several requisites the first with an ИНН counts."""
        owner = {"ENTITY_TYPE_ID": ENTITY_TYPE_ID[ref.type], "ENTITY_ID": ref.id}
        batch = self.client.batch(
            {
                "card": Command(method=f"crm.{ref.type}.get", params={"id": ref.id}),
                "requisites": Command(
                    method="crm.requisite.list",
                    params={"filter": owner, "order": {"ID": "ASC"}, "select": _REQUISITE_SELECT},
                ),
                "addresses": _addresses_of("$result[requisites][0][ID]"),
            }
        )
        try:
            card = batch.get("card")
        except LinkBroken:
            return None
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
                if linked_to.id in (row.get(ONEC_ID_FIELD), row.get("ORIGIN_ID")):
                    refs[bitrix24_ref(type_, row["ID"])] = None
        for row in batch.get("inn") or []:
            owner_type = _TYPE_BY_ID.get(int(row["ENTITY_TYPE_ID"]))
            if row.get("RQ_INN") == keys.inn and owner_type:
                refs[bitrix24_ref(owner_type, row["ENTITY_ID"])] = None
        for id_ in (batch.get("email") or {}).get("CONTACT", []):
            refs[bitrix24_ref(RecordType.CONTACT, id_)] = None
        found = (self.read(ref) for ref in list(refs)[:MAX_CANDIDATES])
        return [record for record in found if record is not None and not record.is_ours]

    def create(self, record: CounterpartyRecord) -> CounterpartyRecord:
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
        self, current: CounterpartyRecord, changes: Mapping[str, Any], *, source: CounterpartyRecord
    ) -> CounterpartyRecord:
        changes, responsible_id = self._known_responsible(changes)
        commands = self._commands(current, changes, source, responsible_id)
        if not commands:
            return current
        batch = self.client.batch(commands, halt=True)
        for error in batch.errors.values():
            raise error
        if missing := commands.keys() - batch.results.keys():
            raise RemoteRejected(f"the portal did not run {', '.join(sorted(missing))} of {current.ref}")
        return replace(current, fields={**current.fields, **changes}, other_ref=source.ref.id)

    def _known_responsible(self, changes: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """A person whom the portal does not know is left out, and never stops a record (design, part 6)."""
        user = self.directories.user_by_email(changes.get("responsible"))
        left = {name: value for name, value in changes.items() if name != "responsible" or user}
        return left, user.id if user else None

    def _commands(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        source: CounterpartyRecord,
        responsible_id: str | None,
    ) -> dict[str, Command]:
        """Card, then requisite, then addresses: each needs the one before it."""
        ref, kind = current.ref, source.kind
        card = card_fields(ref.type, changes, responsible_id=responsible_id)
        card |= changed_multifields(current, changes, source.value_kinds)
        if current.other_ref != source.ref.id:
            card[ONEC_ID_FIELD] = source.ref.id
        commands = {}
        if card:
            commands["card"] = Command(method=f"crm.{ref.type}.update", params={"id": ref.id, "fields": card})
        requisite_id = self._requisite_command(commands, current, changes, kind)
        for address in _changed_addresses(current, changes):
            fields = address_fields(ref.type, kind, address, requisite_id)
            verb = "update" if _has_address(current, fields) else "add"
            commands[f"address_{address['kind']}"] = Command(method=f"crm.address.{verb}", params={"fields": fields})
        return commands

    def _requisite_command(
        self, commands: dict[str, Command], current: CounterpartyRecord, changes: Mapping[str, Any], kind: Kind
    ) -> str:
        """Add the command that writes the requisite, if one is needed; return the id that addresses hang on."""
        ours = {name: value for name, value in changes.items() if name in REQUISITE_FIELDS}
        requisite = current.native["requisite"]
        if requisite is not None:
            if fields := requisite_fields(kind, ours):
                params = {"id": requisite["ID"], "fields": fields}
                commands["requisite"] = Command(method="crm.requisite.update", params=params)
            return str(requisite["ID"])
        if any(ours.values()) or changes.get("addresses"):
            name = changes.get("name") or current.fields.get("name")
            preset = self.presets.get(kind, self.presets.get(Kind.COMPANY, 1))
            fields = new_requisite(current.ref, kind, preset, name, ours)
            commands["requisite"] = Command(method="crm.requisite.add", params={"fields": fields})
        return "$result[requisite]"

    def owner_of(self, requisite: RecordRef) -> RecordRef | None:
        try:
            row = self.client.call("crm.requisite.get", id=requisite.id)
        except LinkBroken:
            return None
        type_ = _TYPE_BY_ID.get(int(row["ENTITY_TYPE_ID"]))
        return bitrix24_ref(type_, row["ENTITY_ID"]) if type_ else None


def _addresses_of(requisite_id: str) -> Command:
    owner = {"ENTITY_TYPE_ID": REQUISITE_TYPE_ID, "ENTITY_ID": requisite_id}
    return Command(method="crm.address.list", params={"filter": owner, "order": {"TYPE_ID": "ASC"}})


def _searches(keys: MatchKeys, onec_id: str) -> dict[str, Command]:
    commands = {}
    for type_ in ENTITY_TYPE_ID:
        select = ["ID", ONEC_ID_FIELD, "ORIGIN_ID"]
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


def _changed_addresses(current: CounterpartyRecord, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Addresses to write; one that the other side no longer has is emptied, since its key cannot be written away."""
    if "addresses" not in changes:
        return []
    before = {address["kind"]: address for address in current.fields.get("addresses") or []}
    wanted = {address["kind"]: address for address in changes["addresses"] or []}
    emptied = [{"kind": kind} for kind in before if kind not in wanted]
    return [address for kind, address in wanted.items() if before.get(kind) != address] + emptied


def _has_address(current: CounterpartyRecord, fields: Mapping[str, Any]) -> bool:
    return any(str(row.get("TYPE_ID")) == str(fields["TYPE_ID"]) for row in current.native["addresses"])
