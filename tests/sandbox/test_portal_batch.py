"""batch: references, halt, lengths, and maps that PHP prints as lists."""

from __future__ import annotations

from tests.sandbox.portal_peer import running, sample


def test_empty_maps_are_lists():
    with running() as peer:
        outcome = peer.batch(a="crm.contact.fields")
    assert (outcome["result_error"], outcome["result_total"], outcome["result_next"]) == ([], [], [])


def test_batch_is_200_even_if_every_command_failed():
    with running() as peer:
        outcome = peer.batch(a="crm.contact.get?id=9", b="no.such.method")
    assert outcome["result"] == []
    assert outcome["result_time"] == []
    assert outcome["result_error"]["a"] == {"error": "", "error_description": "Not found"}
    assert outcome["result_error"]["b"]["error"] == "ERROR_METHOD_NOT_FOUND"


def test_references_follow_results_by_key_and_index():
    with running() as peer:
        outcome = peer.batch(
            company="crm.company.add?fields[TITLE]=ООО «Ромашка»",
            contact="crm.contact.add?fields[NAME]=Анна&fields[COMPANY_ID]=$result[company]",
            found="crm.contact.list?filter[COMPANY_ID]=$result[company]&select[]=ID",
            same="crm.contact.get?id=$result[found][0][ID]",
            text="crm.contact.add?fields[NAME]=Копия $result[same][NAME]!",
            last="crm.contact.get?id=$result[text]",
        )
    assert outcome["result_error"] == []
    assert outcome["result"]["same"]["COMPANY_ID"] == str(outcome["result"]["company"])
    assert outcome["result"]["last"]["NAME"] == "Копия Анна!"


def test_reference_to_a_failed_command_is_empty_and_the_command_runs():
    with running() as peer:
        outcome = peer.batch(a="crm.contact.get?id=9", b="crm.contact.add?fields[NAME]=x$result[a][NAME]")
        assert set(outcome["result_error"]) == {"a"}
        assert peer.call("crm.contact.get", id=outcome["result"]["b"])["NAME"] == "x"


def test_halt_stops_at_the_first_error():
    with running() as peer:
        outcome = peer.batch(halt=1, a="profile", b="crm.contact.get?id=9", c="profile")
        assert set(outcome["result"]) == {"a"}
        assert set(outcome["result_error"]) == {"b"}
        assert set(peer.batch(halt=0, b="crm.contact.get?id=9", c="profile")["result"]) == {"c"}


def test_51st_command_is_refused_and_the_50_are_done():
    with running() as peer:
        outcome = peer.batch(**{f"c{index}": f"crm.contact.add?fields[NAME]={index}" for index in range(52)})
        assert len(outcome["result"]) == 50
        assert set(outcome["result_error"]) == {"c50", "c51"}
        assert outcome["result_error"]["c50"]["error"] == "ERROR_BATCH_LENGTH_EXCEEDED"
        assert len(peer.portal.store.table(3)) == 50


def test_batch_in_a_batch_is_not_allowed():
    with running() as peer:
        outcome = peer.batch(a="batch?cmd[x]=profile")
        assert outcome["result_error"]["a"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"


def test_commands_in_a_list_are_answered_in_lists():
    with running() as peer:
        outcome = peer.call("batch", cmd=["profile", "server.time"])
        assert isinstance(outcome["result"], list)
        assert outcome["result"][0]["ID"] == "1"


def test_numeric_keys_that_do_not_start_at_0_stay_a_map():
    with running() as peer:
        outcome = peer.call("batch", cmd={"5": "profile", "7": "nope"})
        assert set(outcome["result"]) == {"5"}
        assert set(outcome["result_error"]) == {"7"}


def test_form_encodes_commands_once_more():
    with running() as peer:
        form = {"halt": "0", "cmd[a]": "crm.contact.add?fields[NAME]=A%26B"}
        answer = peer.session.post(f"{peer.base}batch", data=form, timeout=20).json()
        contact_id = answer["result"]["result"]["a"]
        assert peer.call("crm.contact.get", id=contact_id)["NAME"] == "A&B"


def test_lists_in_a_batch_tell_total_and_next_beside_the_results():
    with running() as peer:
        peer.batch(**{f"c{index}": f"crm.contact.add?fields[NAME]={index}" for index in range(50)})
        peer.call("crm.contact.add", fields={"NAME": "51"})
        outcome = peer.batch(a="crm.contact.list?select[]=ID", b="profile")
        assert outcome["result_total"] == {"a": 51}
        assert outcome["result_next"] == {"a": 50}


def test_shape_is_the_documented_one():
    documented = sample("batch.response.json")["result"]
    with running() as peer:
        outcome = peer.batch(get_user="user.current", nothing="department.nothing")
    assert set(outcome) == set(documented)
    documented_time = set(documented["result_time"]["get_user"])
    assert documented_time <= set(outcome["result_time"]["get_user"])
