"""What goes wrong on purpose, and what the control API shows."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.portal_peer import running, sample


def contacts(peer):
    return len(peer.portal.store.table(3))


def test_http500_before_anything_is_done_in_the_portals_own_words():
    with running(faults="http500:crm.contact.add=1x1") as peer:
        answer = peer.refused("crm.contact.add", fields={"NAME": "Анна"})
        assert answer == (500, "INTERNAL_SERVER_ERROR", "Internal server error")
        assert contacts(peer) == 0
        assert peer.call("crm.contact.add", fields={"NAME": "Анна"}) == 1


@pytest.mark.parametrize(("kind", "status"), [("http502", 502), ("http503", 503)])
def test_proxy_answers_with_its_own_page_before_anything_is_done(kind, status):
    with running(faults=f"{kind}=1x1") as peer:
        answer = peer.post("crm.contact.add", fields={"NAME": "Анна"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html")
        assert contacts(peer) == 0


def test_html_instead_of_the_answer_after_the_work_was_done():
    with running(faults="html:crm.contact.add") as peer:
        answer = peer.post("crm.contact.add", fields={"NAME": "Анна"})
        assert (answer.status_code, answer.text[:6]) == (200, "<html>")
        assert contacts(peer) == 1


@pytest.mark.parametrize(("kind", "done"), [("reset_before", 0), ("reset_after", 1)])
def test_connection_is_cut_before_or_after_the_work(kind, done):
    with running(faults=f"{kind}:crm.contact.add=1x1") as peer:
        with pytest.raises(requests.ConnectionError):
            peer.post("crm.contact.add", fields={"NAME": "Анна"})
        assert contacts(peer) == done
        assert peer.portal.journal[0]["error"] == "reset"
        assert peer.call("profile")["ID"] == "1"


def test_outer_batch_is_struck_by_its_own_name():
    with running(faults="reset_after:batch=1x1,http500:batch=1x1") as peer:
        commands = {"a": "crm.contact.add?fields[NAME]=x"}
        assert peer.post("batch", cmd=commands).status_code == 500
        with pytest.raises(requests.ConnectionError):
            peer.post("batch", cmd=commands)
        assert contacts(peer) == 1


def test_fault_of_an_inner_command_is_its_error():
    with running(faults="http500:crm.contact.add=1x1") as peer:
        outcome = peer.batch(a="crm.contact.add?fields[NAME]=x", b="crm.contact.add?fields[NAME]=y")
        assert outcome["result_error"]["a"]["error"] == "INTERNAL_SERVER_ERROR"
        assert outcome["result"] == {"b": 1}


def test_reset_after_an_inner_command_loses_the_answer_and_the_commands_behind_it():
    with running(faults="reset_after:crm.contact.add=1x1") as peer:
        with pytest.raises(requests.ConnectionError):
            peer.batch(a="crm.contact.add?fields[NAME]=x", b="crm.contact.add?fields[NAME]=y")
        assert contacts(peer) == 1


def test_hang_says_nothing_for_a_while_and_then_goes_on():
    with running(faults="hang:profile=1x1@300", time_scale=1000.0) as peer:
        with pytest.raises(requests.ReadTimeout):
            peer.session.post(f"{peer.base}profile", timeout=0.05)
        assert peer.call("profile")["ID"] == "1"


def test_maintenance_is_overload_limit():
    with running(faults="maintenance=1x1") as peer:
        answer = peer.post("profile")
        assert (answer.status_code, answer.json()) == (503, sample("system-error.OVERLOAD_LIMIT.json"))


def test_faults_are_changed_at_run_time():
    with running() as peer:
        assert peer.sandbox("faults", {"spec": "http500:profile=1x1"}) == {"faults": ["http500:profile=1x1@1"]}
        assert peer.post("profile").status_code == 500
        assert peer.sandbox("faults", {"spec": ""}) == {"faults": []}
        wrong = peer.session.post(f"{peer.url}/_sandbox/faults", json={"spec": "nonsense"}, timeout=20)
        assert wrong.status_code == 400


def test_journal_tells_every_request_with_its_outcome():
    with running() as peer:
        peer.call("profile")
        peer.batch(a="profile", b="crm.contact.get?id=5")
        peer.refused("crm.contact.get", id=5)
        journal = peer.sandbox("journal")
    told = [
        (call["method"], call["status"], call["error"], call["user"], call["batch_size"]) for call in journal["calls"]
    ]
    assert told == [
        ("profile", 200, None, 1, None),
        ("batch", 200, None, 1, 2),
        ("crm.contact.get", 400, "", 1, None),
    ]
    assert journal["calls"][1]["commands"] == ["profile", "crm.contact.get"]
    counters = journal["counters"]
    assert (counters["requests"], counters["commands"], counters["refused_503"]) == (3, 4, 0)


def test_journal_and_state_hold_no_secret():
    with running() as peer:
        peer.call("profile")
        assert "sandbox-secret" not in str(peer.sandbox("journal"))
        assert "sandbox-secret" not in str(peer.sandbox("state"))


def test_state_shows_all_records_by_type():
    with running(with_user_fields=True) as peer:
        contact_id = peer.call("crm.contact.add", fields={"NAME": "Анна"})
        peer.form("/ui/companies", {"title": "ООО", "inn": "7700000000", "address": "ул. Ленина, 1"})
        peer.form("/ui/deals", {"title": "x", "contact_id": contact_id, "row_name": "Стол", "row_price": "5"})
        peer.item(31, title="Счёт")
        state = peer.sandbox("state")
    assert state["contacts"][0]["NAME"] == "Анна"
    assert state["deals"][0]["CONTACT_IDS"] == [contact_id]
    assert state["smart_invoices"][0]["title"] == "Счёт"
    assert state["requisites"][0]["RQ_INN"] == "7700000000"
    assert state["addresses"][0]["ADDRESS_1"] == "ул. Ленина, 1"
    assert state["rows"]["D:1"][0]["productName"] == "Стол"
    assert {"leads", "companies", "invoices", "comments", "users", "user_fields"} <= set(state)


def test_reset_makes_the_portal_fresh():
    with running() as peer:
        peer.call("crm.contact.add", fields={"NAME": "Анна"})
        peer.call("crm.contact.userfield.add", fields={"USER_TYPE_ID": "string", "FIELD_NAME": "1C_ID"})
        peer.sandbox("reset", {})
        assert peer.sandbox("journal")["calls"] == []
        assert peer.call("crm.contact.list") == []
        assert peer.call("crm.contact.userfield.list") == []
        assert peer.call("crm.contact.add", fields={"NAME": "Анна"}) == 1


def test_sandbox_imports_nothing_of_the_program():
    from pathlib import Path

    import sandbox.portal

    folder = Path(sandbox.portal.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    assert len(sources) > 20
    assert not [source for source in sources if "import sync_worker" in source or "from sync_worker" in source]
    assert not [source for source in sources if "import ingress" in source or "from ingress" in source]
