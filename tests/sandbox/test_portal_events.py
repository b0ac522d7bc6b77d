"""Outgoing webhooks and robots: what is sent, when, how often, and what is never sent."""

from __future__ import annotations

import pytest

from tests.sandbox.portal_peer import receiving, running, sample


@pytest.fixture
def hook():
    with receiving() as receiver:
        yield receiver


def sent_by(hook, count, **settings):
    return running(handler_urls=(hook.url,), **settings)


def test_body_has_the_keys_of_the_documented_one(hook):
    with sent_by(hook, 1) as peer:
        peer.call("crm.deal.add", fields={"TITLE": "x"})
        body = hook.wait_for(1)[0]
        documented = sample("event.OnCrmDealAdd.outgoing-webhook.form.txt")
        assert set(body) == {key for key, _value in documented}
        assert (body["event"], body["data[FIELDS][ID]"]) == ("ONCRMDEALADD", "1")
        assert body["auth[application_token]"] == "sandbox-application-token"
        assert f"http://{body['auth[domain]']}" == peer.url
        assert "auth[access_token]" not in body


@pytest.mark.parametrize(
    ("name", "act"),
    [
        (
            "event.OnCrmTimelineCommentAdd.outgoing-webhook.form.txt",
            lambda peer: peer.call(
                "crm.timeline.comment.add", fields={"ENTITY_ID": 1, "ENTITY_TYPE": "company", "COMMENT": "x"}
            ),
        ),
        ("event.OnCrmDynamicItemAdd.outgoing-webhook.form.txt", lambda peer: peer.item(31, title="x")),
        (
            "event.OnCrmAddressRegister.outgoing-webhook.form.txt",
            lambda peer: peer.form("/ui/companies/1", {"inn": "7700000000", "address": "ул. Ленина, 1"}),
        ),
    ],
)
def test_bodies_of_special_events_have_the_documented_keys(hook, name, act):
    documented = dict(sample(name))
    with sent_by(hook, 1) as peer:
        act(peer)
        assert peer.portal.events.wait_idle()
    body = next(body for body in hook.bodies if body["event"] == documented["event"])
    assert set(body) == set(documented)


def test_timeline_comment_event_has_no_fields_level(hook):
    with sent_by(hook, 1) as peer:
        fields = {"ENTITY_ID": 1, "ENTITY_TYPE": "company", "COMMENT": "x"}
        peer.call("crm.timeline.comment.add", fields=fields)
        assert hook.wait_for(1)[0]["data[ID]"] == "1"


@pytest.mark.parametrize("family", ["contact", "company", "lead", "deal"])
def test_rest_writes_and_edits_by_people_fire_the_same_upper_case_events(hook, family):
    plural = {"company": "companies"}.get(family, f"{family}s")
    type_id = {"lead": 1, "deal": 2, "contact": 3, "company": 4}[family]
    with sent_by(hook, 6) as peer:
        by_rest = peer.call(f"crm.{family}.add", fields={"TITLE": "x", "NAME": "x"})
        peer.call(f"crm.{family}.update", id=by_rest, fields={"COMMENTS": "y"})
        peer.call("crm.item.update", entityTypeId=type_id, id=by_rest, fields={"comments": "z"})
        peer.call(f"crm.{family}.delete", id=by_rest)
        by_hand = peer.form(f"/ui/{plural}", {"title": "x", "name": "x"}).json()["id"]
        peer.form(f"/ui/{plural}/{by_hand}", {"title": "y", "name": "y"})
        peer.form(f"/ui/{plural}/{by_hand}/delete", {})
        assert peer.portal.events.wait_idle()
    name = f"ONCRM{family.upper()}"
    assert sorted(hook.events()) == sorted(
        [
            f"{name}ADD",
            f"{name}UPDATE",
            f"{name}UPDATE",
            f"{name}DELETE",
            f"{name}ADD",
            f"{name}UPDATE",
            f"{name}DELETE",
        ]
    )


def test_requisite_events_name_the_requisite_and_not_the_company(hook):
    with sent_by(hook, 2) as peer:
        company_id = peer.call("crm.company.add", fields={"TITLE": "x"})
        fields = {"ENTITY_TYPE_ID": 4, "ENTITY_ID": company_id, "PRESET_ID": 1, "NAME": "x"}
        requisite_id = peer.call("crm.requisite.add", fields=fields)
        peer.call("crm.requisite.update", id=requisite_id, fields={"RQ_INN": "7700000000"})
        assert peer.fired() == ["ONCRMCOMPANYADD", "ONCRMREQUISITEADD", "ONCRMREQUISITEUPDATE"]
        body = next(body for body in hook.wait_for(3) if body["event"] == "ONCRMREQUISITEADD")
        assert body["data[FIELDS][ID]"] == str(requisite_id)


def test_move_to_another_pipeline_reaches_no_outgoing_webhook(hook):
    with sent_by(hook, 1) as peer:
        peer.item(2, title="x")
        peer.call("crm.item.update", entityTypeId=2, id=1, fields={"categoryId": 1})
        peer.form("/ui/deals/1", {"category_id": "0"})
        assert peer.fired() == ["ONCRMDEALADD", "ONCRMDEALMOVETOCATEGORY", "ONCRMDEALMOVETOCATEGORY"]
        peer.call("crm.deal.update", id=1, fields={"STAGE_ID": "WON"})
        assert peer.portal.events.wait_idle()
    assert sorted(hook.events()) == ["ONCRMDEALADD", "ONCRMDEALUPDATE"]


@pytest.mark.parametrize("status", [500, 404, 302])
def test_event_is_sent_once_and_never_again_whatever_the_answer(hook, status):
    hook.status = status
    with sent_by(hook, 1) as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        assert peer.portal.events.wait_idle()
        log = peer.sandbox("events")["events"]
    assert len(hook.bodies) == 1
    assert [delivery["status"] for delivery in log[0]["deliveries"]] == [status]


def test_handler_that_is_away_loses_the_event():
    with running(handler_urls=("http://127.0.0.1:9/hook",)) as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        assert peer.portal.events.wait_idle()
        assert peer.sandbox("events")["events"][0]["deliveries"][0]["error"] == "ConnectionError"


def test_handlers_can_be_changed_at_run_time_and_have_ids_of_their_own(hook):
    with receiving() as other, running() as peer:
        peer.call("crm.contact.add", fields={"NAME": "nobody hears"})
        peer.sandbox("handlers", {"urls": [hook.url, other.url]})
        peer.call("crm.contact.add", fields={"NAME": "both hear"})
        bodies = hook.wait_for(1) + other.wait_for(1)
    assert [body["data[FIELDS][ID]"] for body in bodies] == ["2", "2"]
    assert len({body["event_handler_id"] for body in bodies}) == 2


def test_ts_is_when_the_queue_sent_it(hook):
    with sent_by(hook, 1, event_delay_seconds=500.0, time_scale=1000.0) as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        hook.wait_for(1)
        assert peer.portal.events.wait_idle()
        event = peer.sandbox("events")["events"][0]
    assert hook.bodies[0]["ts"] == str(int(event["deliveries"][0]["at"]))
    assert event["deliveries"][0]["at"] > event["at"]


def test_lost_event_is_never_sent(hook):
    with running(handler_urls=(hook.url,), faults="event_loss:ONCRMCONTACTADD=1x1") as peer:
        for name in ("Анна", "Вера"):
            peer.call("crm.contact.add", fields={"NAME": name})
        assert peer.portal.events.wait_idle()
        assert peer.sandbox("events")["events"][0]["deliveries"] == [{"url": hook.url, "lost": True}]
    assert [body["data[FIELDS][ID]"] for body in hook.bodies] == ["2"]


def test_repeated_event_is_sent_twice(hook):
    with running(handler_urls=(hook.url,), faults="event_repeat=1x1") as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        hook.wait_for(2)
        assert peer.portal.events.wait_idle()
    assert [body["data[FIELDS][ID]"] for body in hook.bodies] == ["1", "1"]


def test_shuffled_event_comes_after_later_ones(hook):
    with running(handler_urls=(hook.url,), faults="event_shuffle=1x1@1") as peer:
        first = peer.call("crm.contact.add", fields={"NAME": "Анна"})
        second = peer.call("crm.contact.add", fields={"NAME": "Вера"})
        hook.wait_for(2)
    assert [body["data[FIELDS][ID]"] for body in hook.bodies] == [str(second), str(first)]


def test_user_field_events_name_the_field(hook):
    with sent_by(hook, 1) as peer:
        peer.call("crm.deal.userfield.add", fields={"USER_TYPE_ID": "string", "FIELD_NAME": "1C_ID"})
        body = hook.wait_for(1)[0]
    assert (body["event"], body["data[FIELDS][FIELD_NAME]"]) == ("ONCRMDEALUSERFIELDADD", "UF_CRM_1C_ID")


def test_robot_posts_the_document_in_the_documented_form(hook):
    with running() as peer:
        peer.call("crm.deal.add", fields={"TITLE": "x"})
        asked = {"url": f"{hook.url}?secret=s&deal_id=1", "entity": "DEAL", "id": 123}
        assert peer.sandbox("robot", asked) == {"status": 200}
    documented = sample("robot.outgoing-webhook.deal.form.txt")
    sent = hook.raw[0]
    assert {key for key, _value in sent} == {key for key, _value in documented}
    assert sent[:3] == documented[:3]
