"""What a sales manager does in the portal's cards. It fires the events of any edit, and no budget is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.portal import crm, rows
from sandbox.portal.calls import Call
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, SMART_INVOICE, Entity
from sandbox.portal.methods import address
from sandbox.portal.methods import requisite as requisites
from sandbox.portal.multifields import Edit, check
from sandbox.portal.params import as_int
from sandbox.portal.store import Record
from sandbox.portal.world import World

MANAGER_ID = 2
LEGAL_ADDRESS = 6
COMPANY_PRESET, SOLE_TRADER_PRESET, PERSON_PRESET = 1, 3, 5
ROW_FIELDS = ("row_name", "row_quantity", "row_price", "row_tax_rate", "row_discount_sum")

# form field -> stored field
FORMS: dict[int, dict[str, str]] = {
    CONTACT.type_id: {
        "name": "NAME",
        "last_name": "LAST_NAME",
        "second_name": "SECOND_NAME",
        "company_id": "COMPANY_ID",
        "comments": "COMMENTS",
    },
    COMPANY.type_id: {"title": "TITLE", "comments": "COMMENTS"},
    LEAD.type_id: {
        "title": "TITLE",
        "name": "NAME",
        "last_name": "LAST_NAME",
        "status_id": "STATUS_ID",
        "opportunity": "OPPORTUNITY",
        "comments": "COMMENTS",
    },
    DEAL.type_id: {
        "title": "TITLE",
        "category_id": "CATEGORY_ID",
        "stage_id": "STAGE_ID",
        "company_id": "COMPANY_ID",
        "contact_id": "CONTACT_ID",
        "opportunity": "OPPORTUNITY",
        "comments": "COMMENTS",
    },
    SMART_INVOICE.type_id: {"title": "TITLE", "stage_id": "STAGE_ID", "comments": "COMMENTS"},
}
COMMUNICATIONS = {"phone": "PHONE", "email": "EMAIL"}
REQUISITE_FORM = {"inn": "RQ_INN", "kpp": "RQ_KPP", "ogrn": "RQ_OGRN"}

Form = Mapping[str, Sequence[str]]  # every field with all its values, as a form sends them


def add(world: World, entity: Entity, form: Form) -> Record:
    """Fill in a new card and save it. RestError when the portal refuses a value."""
    wish = crm.Wish(values=_values(entity, form, new=True), edits=_edits(entity, form, {}), strict=True)
    record = crm.create(world, entity, wish, author=MANAGER_ID)
    _save_the_rest(world, entity, record, form)
    return record


def edit(world: World, entity: Entity, record: Record, form: Form) -> Record:
    """Change what the form names; the card sends nothing else. RestError when the portal refuses a value."""
    wish = crm.Wish(values=_values(entity, form, new=False), edits=_edits(entity, form, record), strict=True)
    crm.update(world, entity, record, wish, author=MANAGER_ID, skip_unchanged=True)
    _save_the_rest(world, entity, record, form)
    return record


def _save_the_rest(world: World, entity: Entity, record: Record, form: Form) -> None:
    if entity is COMPANY:
        _save_requisite(world, record, form)
    if entity is DEAL and "row_name" in form:
        _save_rows(world, record, form)


def _values(entity: Entity, form: Form, *, new: bool) -> Record:
    given = {stored: form[name][0].strip() for name, stored in FORMS[entity.type_id].items() if name in form}
    return {stored: value for stored, value in given.items() if value or not (new or stored.endswith("STAGE_ID"))}


def _edits(entity: Entity, form: Form, record: Record) -> list[Edit]:
    """Make the first phone and the first e-mail what the form says; blank takes it away."""
    if not entity.has_multifields:
        return []
    edits = []
    for name, type_id in COMMUNICATIONS.items():
        if name in form:
            value = form[name][0].strip()
            first = next(iter(record.get(type_id) or ()), None)
            if first and value != first["VALUE"]:
                what: Any = "change" if value else "delete"
                edits.append(Edit(what=what, type_id=type_id, entry_id=first["ID"], value=value))
            elif not first and value:
                edits.append(Edit(what="add", type_id=type_id, value=value))
    check(edits)
    return edits


def _save_requisite(world: World, company: Record, form: Form) -> None:
    """Keep ИНН, КПП, ОГРН and the legal address where the portal keeps them: in the company's requisite."""
    wanted = {stored: form[name][0].strip() for name, stored in REQUISITE_FORM.items() if name in form}
    legal = form["address"][0].strip() if "address" in form else ""
    found = requisite_of(world, COMPANY, company["ID"])
    if found is None and (any(wanted.values()) or legal):
        found = _new_requisite(world, company, wanted)
    elif found is not None and any((found.get(name) or "") != value for name, value in wanted.items()):
        requisites.update(requisites.REQUISITE, _call(world, {"id": found["ID"], "fields": wanted}))
    if found is not None and legal and legal != legal_address(world, found["ID"]):
        address.write(world, (LEGAL_ADDRESS, crm.REQUISITE_TYPE_ID, found["ID"]), {"ADDRESS_1": legal})


def _new_requisite(world: World, company: Record, values: Mapping[str, str]) -> Record:
    preset = SOLE_TRADER_PRESET if len(values.get("RQ_INN", "")) == 12 else COMPANY_PRESET
    ogrn = "RQ_OGRNIP" if preset == SOLE_TRADER_PRESET else "RQ_OGRN"
    given = {
        **{ogrn if name == "RQ_OGRN" else name: value for name, value in values.items() if value},
        "ENTITY_TYPE_ID": COMPANY.type_id,
        "ENTITY_ID": company["ID"],
        "PRESET_ID": preset,
        "NAME": company["TITLE"],
        "RQ_COMPANY_NAME": company["TITLE"],
    }
    requisite_id = requisites.add(requisites.REQUISITE, _call(world, {"fields": given}))
    return world.store.requisites.rows[requisite_id]


def _call(world: World, params: Record) -> Call:
    return Call(world=world, user_id=MANAGER_ID, params=params)


def requisite_of(world: World, entity: Entity, owner_id: int) -> Record | None:
    """Find the first requisite of a contact or company."""
    found = (world.store.requisites.rows[one] for one in world.store.requisites.lookup("ENTITY_ID", [owner_id]))
    return next((one for one in found if one["ENTITY_TYPE_ID"] == entity.type_id), None)


def legal_address(world: World, requisite_id: int) -> str:
    found = world.store.addresses.get((LEGAL_ADDRESS, crm.REQUISITE_TYPE_ID, requisite_id))
    return (found and found["ADDRESS_1"]) or ""


def _save_rows(world: World, deal: Record, form: Form) -> None:
    """Replace the product rows. A person types the unit price with tax, and the money off it, with tax as well."""
    columns = [list(form.get(name, ())) for name in ROW_FIELDS]
    length = len(columns[0])
    padded = [column + [""] * (length - len(column)) for column in columns]
    given = [_row(*values) for values in zip(*padded, strict=True) if values[0].strip()]
    if rows.replace(world.store, DEAL.letter, deal["ID"], given):
        crm.recompute_amount(world, DEAL.letter, deal["ID"], author=MANAGER_ID)


def _row(name: str, quantity: str, price: str, tax_rate: str, discount: str) -> Record:
    tax, off = _number(tax_rate), _number(discount) or 0.0
    return {
        "PRODUCT_NAME": name.strip(),
        "QUANTITY": _number(quantity) or 1,
        "PRICE": round((_number(price) or 0.0) - off, 2),
        "DISCOUNT_TYPE_ID": rows.MONEY,
        "DISCOUNT_SUM": round(off / (1 + (tax or 0) / 100), 2),  # stored without tax
        "TAX_RATE": tax,
        "TAX_INCLUDED": "Y",
    }


def _number(written: str) -> float | None:
    try:
        return float(written.replace(",", ".").replace(" ", "").replace("\N{NO-BREAK SPACE}", ""))
    except ValueError:
        return None


def remove(world: World, entity: Entity, record_id: int) -> bool:
    """Delete a card; False if there is none."""
    record = world.store.table(entity.type_id).get(as_int(record_id))
    if record is None:
        return False
    crm.delete(world, entity, record)
    return True
