"""Why a dry run came out as it did: sentences that name the rule, for the person who asked."""

from __future__ import annotations

from collections.abc import Iterator

from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.link import Link
from sync_worker.domain.merge import Verdict, Why
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, CounterpartyRules, Owner, Rules
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys, best_candidates
from sync_worker.entities.deal import Deal
from sync_worker.entities.invoice import Invoice
from sync_worker.entities.lead import Lead
from sync_worker.entities.status import OrderStatus
from sync_worker.errors import SyncError, all_causes
from sync_worker.sync.dry_run import PARTNER_FIELD, Notebook, Search, written_as
from sync_worker.sync.office import told
from sync_worker.sync.trial import Look, Trial, needs_person

TITLES = {System.BITRIX24: "Bitrix24", System.ONEC: "1C"}
SILENT = (Why.EQUAL, Why.AT_REST)


# --- the record itself -----------------------------------------------------------------------------------------------


def link_reason(link: Link | None, ref: RecordRef) -> str:
    if link is None:
        return "no link of it is known yet"
    if link.deleted_in is None:
        return f"it is linked to {link.other(ref)}"
    gone = link.bitrix24 if link.deleted_in is System.BITRIX24 else link.onec
    return f"{gone} was deleted, and the link to it is a tombstone: deleting on one side never deletes on the other"


def letter_reasons(letter: DeadLetter) -> Iterator[str]:
    advice = all_causes().get(letter.cause, SyncError).advice
    if letter.holds_back:
        yield f"dead letter {letter.id} ({letter.cause}) holds back its later events, {letter.waiting} so far: {advice}"
    else:
        yield f"dead letter {letter.id} ({letter.cause}) is a notice and holds nothing back: {advice}"
    if letter.decision is not None:
        yield f"a person decided, and the replay will carry it out: {told(letter.decision)}"


def failure_reason(error: SyncError) -> str:
    """The advice of what it waits behind, where it waits behind another record's letter."""
    person = needs_person(error) or error
    return f"a person would be asked ({person.cause}): {error}. {person.advice}"


# --- one look --------------------------------------------------------------------------------------------------------


def look_reasons(look: Look, trial: Trial) -> Iterator[str]:
    """All that can be said of it, the rule first."""
    if look.off:
        yield look.off
        return
    yield from _RULES[look.entity](look, trial)
    yield from (verdict_reason(one) for one in look.verdicts if one.why not in SILENT)
    if look.error is not None:
        yield failure_reason(look.error)


def outcome_reason(look: Look, *, echo: str) -> Iterator[str]:
    side = TITLES[look.record.system]
    if look.outcome is Outcome.ECHO:
        yield echo
    elif look.outcome is Outcome.STALE:
        yield f"what {side} says of {look.record} was handled already: nothing newer is there"
    elif look.outcome is Outcome.UNCHANGED and not look.verdicts:
        yield f"{look.record} is as both sides agreed"


# --- counterparties --------------------------------------------------------------------------------------------------


def counterparty_reasons(look: Look, trial: Trial) -> Iterator[str]:
    record = trial.notes.read.get(look.record)
    if look.outcome is Outcome.SKIPPED and record is not None and trial.links.find(look.record) is None:
        yield keeping_rule(record, trial.rules.counterparties)
    yield from match_reasons(trial.notes)
    echo = f"{look.record} is as both sides last agreed (its fingerprint): nothing of it is to be written"
    yield from outcome_reason(look, echo=echo)


def keeping_rule(record: CounterpartyRecord, rules: CounterpartyRules) -> str:
    """Which rule keeps an unlinked record where it is."""
    if record.is_ours:
        return "it is one of our own companies, which never travel"
    if record.ref.type is RecordType.COMPANY:
        return 'companies do not become counterparties (counterparties.companies = "none" in sync.toml)'
    rule = f'counterparties.contacts = "{rules.contacts}" in sync.toml'
    if rules.contacts is Contacts.WITHOUT_COMPANY and record.company_id:
        return f"it belongs to company {record.company_id}, and such contacts do not become counterparties ({rule})"
    return f"a record of kind {record.kind} gets no partner ({rule})"


def match_reasons(notes: Notebook) -> Iterator[str]:
    """How partners were found, by what was sought and what was linked then."""
    for search in notes.searches:
        yield match_reason(search, notes)
    sought = {search.wanted_for for search in notes.searches}
    for link in notes.linked:
        if not sought & set(refs_of(link)):
            yield from written_partner(link, notes)


def written_partner(link: Link, notes: Notebook) -> Iterator[str]:
    """What stands in a counterparty about its partner was enough to link the two."""
    for ref in refs_of(link):
        record, other = notes.read.get(ref), link.other(ref)
        if isinstance(record, CounterpartyRecord) and record.other_ref == written_as(other):
            yield f"{ref} carries the id of {other} ({PARTNER_FIELD[ref.system]})"


def match_reason(search: Search, notes: Notebook) -> str:
    where = TITLES[search.system]
    partner = next((one.other(search.wanted_for) for one in notes.linked if search.wanted_for in refs_of(one)), None)
    matched = next((one for one in search.found if one.ref == partner), None)
    if matched is not None and matched.other_ref == written_as(search.wanted_for):
        return f"{matched.ref} carries the id of {search.wanted_for} ({PARTNER_FIELD[search.system]})"
    if matched is not None:
        return f"matched with {matched.ref} by {keys_text(search.keys, matched)}"
    alike = best_candidates(search.keys, list(search.found))
    if partner is not None:
        found = f"{len(alike)} in {where} have it and are others" if alike else f"nobody in {where} has it"
        return f"sought by {keys_text(search.keys)}; {found}: a new record is made"
    names = ", ".join(str(one.ref) for one in alike or search.found)
    count = len(alike or search.found)
    return f"sought in {where} by {keys_text(search.keys)}: {count} found{f' ({names})' if names else ''}"


def refs_of(link: Link) -> tuple[RecordRef, RecordRef]:
    return link.bitrix24, link.onec


def keys_text(keys: MatchKeys, matched: CounterpartyRecord | None = None) -> str:
    """The keys; of a match only those that both have."""
    if keys.inn:
        has_kpp = keys.kpp and (matched is None or matched.fields.get("kpp") == keys.kpp)
        return f"ИНН {keys.inn}" + (f" and КПП {keys.kpp}" if has_kpp else "")
    both = set(matched.fields.get("emails") or ()) if matched else set(keys.emails)
    emails = [email for email in keys.emails if email in both]
    return f"e-mail {', '.join(emails)}" if emails else "no key (neither a good ИНН nor a person's e-mail)"


def verdict_reason(verdict: Verdict) -> str:
    """phones: its owner's value wins (owners.counterparty.phones = "bitrix24" in sync.toml); goes to 1C"""
    owner = f'owners.counterparty.{verdict.field} = "{verdict.owner}"'
    rule = f"{owner}, counterparties.fill_blank" if verdict.why is Why.FILLED else owner
    sentence = f"{verdict.field}: {verdict.why} ({rule} in sync.toml)"
    if verdict.lost is not None:
        sentence += f"; what {TITLES[verdict.lost]} says gives way"
    if verdict.owner is Owner.SHARED and verdict.why is Why.CONFLICT:
        return sentence
    return sentence + "".join(f"; goes to {TITLES[system]}" for system in written_to(verdict))


def written_to(verdict: Verdict) -> Iterator[System]:
    if verdict.for_bitrix24 != verdict.bitrix24:
        yield System.BITRIX24
    if verdict.for_onec != verdict.onec:
        yield System.ONEC


# --- leads and deals -------------------------------------------------------------------------------------------------


def lead_reasons(look: Look, trial: Trial) -> Iterator[str]:
    lead = trial.notes.read.get(look.record)
    if isinstance(lead, Lead):
        yield lead_rule(lead, look, trial.rules)
    yield from outcome_reason(look, echo="the lead in 1C is as it was last sent (its fingerprint)")


def lead_rule(lead: Lead, look: Look, rules: Rules) -> str:
    if lead.status in rules.qualified_lead_statuses:
        return f"status {lead.status} qualifies it (leads.qualified in sync.toml)"
    if look.outcome is Outcome.SKIPPED:
        known = ", ".join(sorted(rules.qualified_lead_statuses))
        return f"status {lead.status} does not qualify it (leads.qualified in sync.toml: {known})"
    return "it was sent once it was qualified, and every change follows"


def deal_reasons(look: Look, trial: Trial) -> Iterator[str]:
    deal = trial.notes.read.get(look.record)
    if isinstance(deal, Deal):
        yield deal_rule(deal, look, trial)
    yield from match_reasons(trial.notes)
    yield from outcome_reason(look, echo="the order in 1C is as it was last sent (its fingerprint)")
    if any(one.record.type is RecordType.ORDER for one in trial.notes.actions):
        tolerance = trial.rules.total_tolerance
        yield f"after the write 1C's total is held against the deal's (orders.total_tolerance = {tolerance})"


def deal_rule(deal: Deal, look: Look, trial: Trial) -> str:
    """What sends it, or keeps it."""
    pipeline = trial.rules.pipelines.get(deal.category)
    if pipeline is None:
        return f"pipeline {deal.category} is none of [[pipelines]] in sync.toml: its deals do not travel"
    rule = f"[[pipelines]] category = {deal.category}, send_at = {', '.join(sorted(pipeline.send_at))}"
    if deal.stage in pipeline.send_at:
        return f"stage {deal.stage} sends it ({rule})"
    hours = f"the last {trial.rules.max_age_hours} hours (retry.max_age_hours)"
    if look.outcome is Outcome.SKIPPED:
        return f"stage {deal.stage} does not send it, and it reached none that does in {hours} ({rule})"
    if deal.ref in trial.notes.past_stages:
        return f"it reached a stage that sends it in {hours} ({rule})"
    return "it was sent before, and every change follows"


# --- invoices and statuses -------------------------------------------------------------------------------------------


def invoice_reasons(look: Look, trial: Trial) -> Iterator[str]:
    link = trial.links.find(look.record)
    invoice = trial.notes.read.get(link.onec if link else look.record)
    if look.outcome is Outcome.SKIPPED and link is None and look.record.system is System.BITRIX24:
        yield "no invoice of 1C is linked to this card, and invoices come from 1C only"
    if isinstance(invoice, Invoice) and not invoice.is_deleted:
        status = invoice.fields["status"]
        stage = trial.rules.invoices.stages.get(status)
        yield f"1C owns invoices: what differs on the card is put right; {status} is stage {stage} ([invoices.stages])"
    yield from match_reasons(trial.notes)
    yield from outcome_reason(look, echo=f"{look.record} is as it was last written (its fingerprint)")


def status_reasons(look: Look, trial: Trial) -> Iterator[str]:
    status = trial.notes.read.get(look.record)
    link = trial.links.find(look.record)
    deal = trial.notes.read.get(link.bitrix24) if link else None
    if isinstance(status, OrderStatus) and isinstance(deal, Deal) and status.status and not status.is_deleted:
        yield status_rule(status.status, deal, trial.rules)
    if look.outcome is Outcome.STALE:
        yield "this status was handled already"


def status_rule(status: str, deal: Deal, rules: Rules) -> str:
    """What the order's status in 1C means to the deal."""
    pipeline = rules.pipelines.get(deal.category)
    if pipeline is None:
        return f"1C status {status} means nothing to pipeline {deal.category}, which is none of [[pipelines]]"
    rule = f"[[pipelines]] category = {deal.category}"
    if status in pipeline.ignore_statuses:
        return f"1C status {status} does nothing ({rule}, ignore_statuses)"
    stage = pipeline.stages.get(status)
    if stage is None:
        return f"1C status {status} has no stage ({rule}, stages)"
    here = ", where the deal stands already" if deal.stage == stage else f"; the deal stands at {deal.stage}"
    return f"1C status {status} means stage {stage} ({rule}, stages){here}"


_RULES = {
    EntityKind.CONTACT: counterparty_reasons,
    EntityKind.LEAD: lead_reasons,
    EntityKind.DEAL: deal_reasons,
    EntityKind.INVOICE: invoice_reasons,
    EntityKind.STATUS: status_reasons,
}
