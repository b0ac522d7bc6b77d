"""User fields: how they are declared, named and found. What was never declared is not stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.portal import names
from sandbox.portal.entities import Entity
from sandbox.portal.errors import RestError, classic
from sandbox.portal.fields import Field
from sandbox.portal.params import as_map
from sandbox.portal.store import Record, Store

KINDS = frozenset(
    (
        *("string", "integer", "double", "boolean", "datetime", "date", "money", "url", "address", "enumeration"),
        *("file", "employee", "crm_status", "iblock_section", "iblock_element", "crm"),
    )
)
_NAME = re.compile(r"^UF_CRM_[A-Z0-9_]{1,43}$")


def full_name(given: str) -> str:
    """Complete a field's name: 1C_ID and UF_1C_ID become UF_CRM_1C_ID; lower case is raised."""
    name = given.strip().upper()
    if name.startswith("UF_CRM_"):
        return name
    return f"UF_CRM_{name.removeprefix('UF_')}"


def of_entity(store: Store, user_field_entity: str) -> list[Record]:
    return [record for record in store.user_fields if record["ENTITY_ID"] == user_field_entity]


def declared(store: Store, user_field_entity: str) -> dict[str, Field]:
    """List the user fields of an object by their stored names."""
    return {record["FIELD_NAME"]: as_field(record) for record in of_entity(store, user_field_entity)}


def as_field(record: Record) -> Field:
    return Field(
        name=record["FIELD_NAME"],
        kind=record["USER_TYPE_ID"],
        multiple=record["MULTIPLE"] == "Y",
        dynamic=True,
        required=record["MANDATORY"] == "Y",
    )


def item_names(store: Store, entity: Entity) -> dict[str, str]:
    """Name the user fields of an object for crm.item.*: stored name -> camelCase name."""
    stored = [record["FIELD_NAME"] for record in of_entity(store, entity.user_field_entity)]
    return names.user_field_names(stored, entity.by_item)


def build(store: Store, user_field_entity: str, given: Mapping[str, Any]) -> Record:
    """Check a declaration and make the record of it; several faults come in one message, a line each."""
    faults = []
    if not given.get("USER_TYPE_ID"):
        faults.append("The 'USER_TYPE_ID' field is not found.")
    elif given["USER_TYPE_ID"] not in KINDS:
        faults.append("The 'USER_TYPE_ID' field is not valid.")
    if not given.get("FIELD_NAME"):
        faults.append("The 'FIELD_NAME' field is not found.")
    if faults:
        raise classic("\n".join(faults))
    name = full_name(str(given["FIELD_NAME"]))
    if not _NAME.match(name):
        raise RestError(
            "ERROR_CORE", f"Field name {name} is longer than 50 characters or has signs other than A-Z 0-9 _"
        )
    if name in declared(store, user_field_entity):
        raise RestError("ERROR_CORE", f"The field {name} for the object {user_field_entity} already exists.")
    return _record(user_field_entity, name, given)


def _record(user_field_entity: str, name: str, given: Mapping[str, Any]) -> Record:
    label = given.get("LABEL") or name
    labels = {key: given.get(key) or label for key in ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL")}
    return {
        "ENTITY_ID": user_field_entity,
        "FIELD_NAME": name,
        "USER_TYPE_ID": str(given["USER_TYPE_ID"]),
        "XML_ID": given.get("XML_ID"),
        "SORT": str(given.get("SORT") or 100),
        "MULTIPLE": given.get("MULTIPLE") or "N",
        "MANDATORY": given.get("MANDATORY") or "N",
        "SHOW_FILTER": "E" if given.get("SHOW_FILTER") == "Y" else given.get("SHOW_FILTER") or "N",
        "SHOW_IN_LIST": given.get("SHOW_IN_LIST") or "Y",
        "EDIT_IN_LIST": given.get("EDIT_IN_LIST") or "Y",
        "IS_SEARCHABLE": given.get("IS_SEARCHABLE") or "N",
        "SETTINGS": as_map(given.get("SETTINGS")) or _DEFAULT_SETTINGS,
        **labels,
        "ERROR_MESSAGE": given.get("ERROR_MESSAGE"),
        "HELP_MESSAGE": given.get("HELP_MESSAGE"),
    }


_DEFAULT_SETTINGS = {"SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": ""}
LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")
