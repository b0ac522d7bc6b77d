"""The counterparty: a Bitrix24 contact or company with its requisite and addresses; a 1C контрагент."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.domain.lists import Unite, unite_by_kind, unite_sets
from sync_worker.domain.rules import Contacts, CounterpartyRules, Kind, Owner
from sync_worker.domain.values import is_inn

ADDRESS_PARTS = ("postal_code", "country", "region", "city", "street", "unit")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a counterparty: where it stands on either side, and whose value wins where sync.toml is silent."""

    name: str
    bitrix24: str
    onec: str
    owner: Owner


FIELDS = (
    Field("name", "company TITLE; contact LAST_NAME NAME SECOND_NAME", "name", Owner.SHARED),
    Field("full_name", "requisite RQ_COMPANY_FULL_NAME (not of people)", "full_name", Owner.ONEC),
    Field("inn", "requisite RQ_INN", "inn", Owner.ONEC),
    Field("kpp", "requisite RQ_KPP (not of people)", "kpp", Owner.ONEC),
    Field("ogrn", "requisite RQ_OGRN, RQ_OGRNIP of sole traders", "ogrn", Owner.ONEC),
    Field("addresses", "addresses of the requisite: type 6 (4 of people), 1, 8", "legal, actual, postal", Owner.ONEC),
    Field("phones", "PHONE", "phones", Owner.BITRIX24),
    Field("emails", "EMAIL", "emails", Owner.BITRIX24),
    Field("responsible", "ASSIGNED_BY_ID, by the user's e-mail", "responsible", Owner.BITRIX24),
    Field("comment", "COMMENTS", "comment", Owner.SHARED),
)
"""The README's field table is made from this, and a test compares them."""

DEFAULT_OWNERS: Mapping[str, Owner] = {one.name: one.owner for one in FIELDS}

LISTS: Mapping[str, Unite] = {"phones": unite_sets, "emails": unite_sets, "addresses": unite_by_kind}
"""How a list is united where the rules let both sides write it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterpartyRecord:
    """One side's view of a counterparty.

    Shape of `fields` (canonical, JSON-able; a key that is absent means the side has no such field):
        name, full_name, inn, kpp, ogrn, responsible (e-mail), comment: text or None
        emails, phones: sorted lists of normalised values
        addresses: list of {"kind": "legal" | "actual" | "postal", and ADDRESS_PARTS}, sorted by kind
    """

    ref: RecordRef
    kind: Kind
    fields: Mapping[str, Any]
    value_kinds: Mapping[str, str] = field(default_factory=dict)  # phone or e-mail -> "work", "mobile" ...
    responsible_name: str | None = None
    other_ref: str | None = None  # the id of the other side's record that is written in this one
    version: str | None = None  # 1C only
    sequence: int = 0  # 1C only
    is_deleted: bool = False  # 1C: marked for deletion
    is_ours: bool = False  # Bitrix24: one of "my companies", the seller itself
    company_id: str | None = None  # Bitrix24 contacts: the company they belong to
    is_whole: bool = True  # False: only the card was read, the rest is remembered; it cannot be written with
    native: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # what the gateway that read it
    # needs in order to write it; opaque to everybody else


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchKeys:
    """What a counterparty may be recognised by on the other side, strongest first."""

    inn: str | None = None
    kpp: str | None = None
    emails: tuple[str, ...] = ()

    def lock_names(self) -> tuple[str, ...]:
        """Names under which two records with one key are serialised. КПП is left out: branches share an ИНН."""
        return (f"inn:{self.inn}",) if self.inn else tuple(f"email:{email}" for email in self.emails)


def invalid_inn(record: CounterpartyRecord) -> str | None:
    """The text that stands where an ИНН should and is none: mistyped, too short, zeros, a word. None for a good one
    or a blank. Whoever has such a text has no key: it is for a person to mend.
    """
    inn: str | None = record.fields.get("inn")
    return None if not inn or is_inn(inn) else inn


def match_keys(record: CounterpartyRecord) -> MatchKeys:
    """ИНН with КПП for whoever has an ИНН; e-mail for people without one (design, part 2).

    What stands for an ИНН and is none is no key: see `invalid_inn`.
    """
    return keys_of(record.fields, is_person=record.kind is Kind.PERSON)


def keys_of(fields: Mapping[str, Any], *, is_person: bool) -> MatchKeys:
    inn = fields.get("inn")
    if is_inn(inn):
        return MatchKeys(inn=inn, kpp=fields.get("kpp"))
    return MatchKeys(emails=tuple(fields.get("emails") or ())) if is_person else MatchKeys()


def same_party(keys: MatchKeys, candidate: CounterpartyRecord) -> bool:
    """True where the candidate has our key. A КПП that only one of the two has says nothing against them.

    An ИНН makes a sole trader the same whether he is a contact here or a company there. By e-mail only people are
    recognised: many of them give the mailbox of the company that they work for.
    """
    if keys.inn:
        ours, theirs = keys.kpp, candidate.fields.get("kpp")
        return candidate.fields.get("inn") == keys.inn and (ours == theirs or not ours or not theirs)
    has_email = bool(set(keys.emails) & set(candidate.fields.get("emails") or ()))
    return has_email and candidate.kind is not Kind.COMPANY


def best_candidates(keys: MatchKeys, candidates: list[CounterpartyRecord]) -> list[CounterpartyRecord]:
    """Those with our very КПП if there are any, else all that have our key."""
    matching = [candidate for candidate in candidates if not candidate.is_deleted and same_party(keys, candidate)]
    exact = [candidate for candidate in matching if keys.kpp and candidate.fields.get("kpp") == keys.kpp]
    return exact or matching


def syncs(record: CounterpartyRecord, rules: CounterpartyRules) -> bool:
    """True where the rules make a counterparty of this unlinked Bitrix24 record."""
    if record.is_ours:
        return False
    if record.ref.type is RecordType.COMPANY:
        return rules.companies
    if rules.contacts is Contacts.WITHOUT_COMPANY:
        return record.company_id is None
    return rules.contacts is Contacts.ALL


def bitrix24_type(kind: Kind) -> RecordType:
    """Companies and sole traders become companies, a person a contact (design, part 6)."""
    return RecordType.CONTACT if kind is Kind.PERSON else RecordType.COMPANY


def canonical_addresses(addresses: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One address a kind, its parts normalised; one without any part is no address."""
    by_kind: dict[str, dict[str, Any]] = {}
    for address in addresses:
        parts = {part: address[part] for part in ADDRESS_PARTS if address.get(part)}
        if parts:
            by_kind.setdefault(address["kind"], {"kind": address["kind"], **parts})
    return [by_kind[kind] for kind in sorted(by_kind)]


def address_line(address: Mapping[str, Any]) -> str:
    """The whole address on one line, in the order that Russian post wants."""
    return ", ".join(str(address[part]) for part in ADDRESS_PARTS if address.get(part))
