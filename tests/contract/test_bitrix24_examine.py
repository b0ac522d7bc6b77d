"""`doctor` and `setup` against portals that are fresh, ready, or wrong in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync_worker.domain.rules import InvoiceKind, InvoiceRules, Kind, PipelineRules
from sync_worker.errors import RemoteRejected
from sync_worker.gateways.bitrix24.examine import MARKED_TYPES, Bitrix24Examiner, PortalSetup
from sync_worker.sync_toml import load_rules
from tests.contract.portal_world import client_of, portal_world
from tests.sandbox.portal_peer import MANAGER
from tests.services import ROOT

RULES, FAULTS = load_rules(ROOT / "sync.example.toml")


class Clock:
    def __init__(self, ahead_seconds: float = 0) -> None:
        self.ahead = timedelta(seconds=ahead_seconds)

    def now(self):
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def world():
    with portal_world() as world:
        yield world


def complaints(client, rules=RULES, clock=None):
    """What is wrong, with what to do about it."""
    examiner = Bitrix24Examiner(client=client, clock=clock or Clock(), rules=rules)
    return {finding.check: finding for finding in examiner.examine() if not finding.ok}


def test_ready_portal_is_examined_in_one_request_and_has_nothing_wrong(world):
    assert FAULTS == []
    with world.counted() as made:
        assert complaints(world.client) == {}
    assert made == ["batch"]


def test_setup_makes_a_fresh_portal_ready():
    with portal_world(with_user_fields=False) as world:
        setup = PortalSetup(client=world.client, rules=RULES)
        assert setup.missing_fields() == list(MARKED_TYPES)
        assert set(complaints(world.client)) == {f"Bitrix24 UF_CRM_1C_ID of {type_}" for type_ in MARKED_TYPES}
        for type_ in setup.missing_fields():
            setup.create_field(type_)
        assert setup.missing_fields() == []
        assert complaints(world.client) == {}


def test_field_that_is_there_is_not_made_again(world):
    with pytest.raises(RemoteRejected):
        PortalSetup(client=world.client, rules=RULES).create_field("deal")


def test_webhook_of_a_manager_may_not_make_fields(world):
    with client_of(f"{world.peer.url}/rest/2/{MANAGER}/") as client:
        assert "Bitrix24 user of the webhook" in complaints(client)
        with pytest.raises(RemoteRejected, match="Access denied"):
            PortalSetup(client=client, rules=RULES).create_field("deal")


def test_stage_that_the_portal_has_not_is_named(world):
    pipeline = PipelineRules(category=1, send_at=frozenset({"C1:EXECUTING", "C1:TYPO"}), stages={"Закрыт": "C1:WON"})
    rules = replace(RULES, pipelines={1: pipeline})
    (finding,) = complaints(world.client, rules).values()
    assert (finding.check, finding.found) == ("Bitrix24 stages of pipeline 1", "not on the portal: C1:TYPO")
    assert "C1:EXECUTING" in finding.advice


def test_pipeline_that_the_portal_has_not(world):
    rules = replace(RULES, pipelines={9: PipelineRules(category=9, send_at=frozenset({"C9:NEW"}), stages={})})
    assert list(complaints(world.client, rules)) == ["Bitrix24 stages of pipeline 9"]


def test_lead_status_that_the_portal_has_not(world):
    rules = replace(RULES, qualified_lead_statuses=frozenset({"CONVERTED", "TYPO"}))
    assert complaints(world.client, rules)["Bitrix24 lead statuses"].found == "not on the portal: TYPO"


def test_requisite_preset_that_the_portal_has_not(world):
    counterparties = replace(RULES.counterparties, presets={Kind.COMPANY: 1, Kind.SOLE_TRADER: 2})
    (finding,) = complaints(world.client, replace(RULES, counterparties=counterparties)).values()
    assert finding.check == "Bitrix24 requisite preset of a sole_trader"
    assert "ИП" in finding.advice


@pytest.mark.parametrize(("ahead_seconds", "is_wrong"), [(0, False), (-50, False), (-90, True), (90, True)])
def test_clocks_more_than_a_minute_apart(world, ahead_seconds, is_wrong):
    assert ("Bitrix24 clock" in complaints(world.client, clock=Clock(ahead_seconds))) is is_wrong


def test_wrong_secret_is_one_finding_that_does_not_tell_it(world):
    with client_of(f"{world.peer.url}/rest/1/not-the-secret/") as client:
        (finding,) = complaints(client).values()
    assert "B24_WEBHOOK_URL" in finding.advice
    assert "not-the-secret" not in repr(finding)


def test_refused_question_is_a_complaint_of_its_own(world):
    world.peer.portal.faults.replace("http500:crm.requisite.preset.list=1,http500:scope=1,http500:profile=1")
    presets = {f"Bitrix24 requisite preset of a {kind}" for kind in Kind}
    assert set(complaints(world.client)) == {"Bitrix24 user of the webhook", "Bitrix24 scopes", *presets}


@pytest.mark.parametrize(
    ("kind", "there", "not_there"),
    [
        (InvoiceKind.SMART, "ONCRMDYNAMICITEMUPDATE", "ONCRMINVOICEUPDATE"),
        (InvoiceKind.LEGACY, "ONCRMINVOICEUPDATE", "ONCRMDYNAMICITEMUPDATE"),
    ],
)
def test_outgoing_webhook_hears_of_the_invoices_that_are_used(world, kind, there, not_there):
    rules = replace(RULES, invoices=InvoiceRules(kind=kind))
    events = PortalSetup(client=world.client, rules=rules).events()
    assert there in events
    assert not_there not in events
    assert len(set(events)) == len(events)
