"""What leaves together, and who gets what of the answer: the cases one by one (all of them: test_joining_model.py)."""

from __future__ import annotations

from sync_worker.domain.identity import RecordType
from sync_worker.errors import RemoteRejected
from sync_worker.gateways.bitrix24.commands import Command, Group
from sync_worker.gateways.bitrix24.joining import arrange, distribute, first_to_leave, within
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.reads import read_by_id

UPDATE = Command(method="crm.deal.update", params={"id": 1})


def read(id_: str, type_: RecordType = RecordType.CONTACT) -> Group:
    return Group(commands={"one": read_by_id(type_, id_)})


def write(*, count: int = 1, **how: bool) -> Group:
    return Group(commands={str(number): UPDATE for number in range(count)}, **how)


def own_error(command: Command, problem: object) -> RemoteRejected:
    return RemoteRejected(f"{command.method}: {problem}")


def test_one_group_is_sent_as_it_is():
    request = arrange([Group(commands={"one": UPDATE, "two": UPDATE}, halt=True)])
    assert request.texts() == {"one": "crm.deal.update?id=1", "two": "crm.deal.update?id=1"}
    assert request.halt
    assert request.methods() == {"crm.deal.update": 2}


def test_one_command_is_no_batch():
    assert not arrange([write()]).is_batch


def test_reads_of_one_kind_become_one_list_by_ids():
    request = arrange([read("5"), read("7"), read("5"), read("7", RecordType.DEAL), read("8", RecordType.DEAL)])
    assert request.methods() == {"crm.contact.list": 1, "crm.deal.list": 1}
    contacts, _deals = request.commands.values()
    assert contacts.params == {
        "filter": {"@ID": ["5", "7"]},
        "order": {"ID": "ASC"},
        "start": -1,
        "select": ("*", "UF_*", "PHONE", "EMAIL"),
    }
    assert request.methods_of(0) == {"crm.contact.list"}


def test_equal_reads_become_one_read():
    request = arrange([read("5"), read("5"), read("5")])
    assert [command.method for command in request.commands.values()] == ["crm.contact.get"]
    ((key, _),) = request.commands.items()
    batches = distribute(request, {key: {"ID": "5"}}, {}, error_of=own_error)
    assert [batch.get("one") for batch in batches] == [{"ID": "5"}] * 3


def test_reads_that_look_equal_and_are_not_stay_apart():
    other = Command(method="crm.contact.get", params={"id": "5", "more": "1"}, by_id=read_by_id("contact", "5").by_id)
    assert arrange([read("5"), Group(commands={"one": other})]).methods() == {"crm.contact.get": 2}


def test_read_that_another_refers_to_stays_a_read():
    whose = Group(commands={"one": read_by_id(RecordType.DEAL, "1"), "two": Command(method="x", params={"id": _id()})})
    request = arrange([whose, read("2", RecordType.DEAL), read("3", RecordType.DEAL)])
    assert request.methods() == {"crm.deal.get": 1, "x": 1, "crm.deal.list": 1}
    assert request.texts()["g0_two"] == "x?id=%24result%5Bg0_one%5D%5BID%5D"


def _id() -> Result:
    return Result("one", ("ID",))


def test_read_behind_a_write_of_its_own_caller_stays_behind_it():
    written = Group(commands={"write": UPDATE, "card": read_by_id(RecordType.DEAL, "1")})
    request = arrange([read("2", RecordType.DEAL), written, read("3", RecordType.DEAL)])
    assert [command.method for command in request.commands.values()] == [
        "crm.deal.list",
        "crm.deal.update",
        "crm.deal.get",
    ]


def test_key_that_a_list_would_like_is_left_to_its_owner():
    commands = {"list0": UPDATE, "list1": UPDATE}
    request = arrange(
        [Group(commands={"a": read_by_id("deal", "1"), "b": read_by_id("deal", "2")}), Group(commands=commands)]
    )
    assert list(request.commands) == ["list0", "g1_list0", "g1_list1"]
    reads = {"list0": read_by_id("deal", "1"), "b": read_by_id("deal", "2"), "list1": Command(method="x")}
    assert list(arrange([Group(commands=reads)]).commands) == ["list0", "g0_list1"]


def test_halt_of_a_single_command_stops_no_stranger():
    assert not arrange([write(halt=True), write()]).halt


def test_chain_leaves_alone_when_it_is_the_first():
    chain = write(count=3, halt=True)
    assert first_to_leave([chain, write()], cost_seconds={}) == [(0, chain)]
    assert [place for place, _ in first_to_leave([write(), chain, write()], cost_seconds={})] == [0, 2]


def test_text_that_a_batch_would_resolve_leaves_alone():
    typed = Group(commands={"one": Command(method="crm.deal.update", params={"fields": {"TITLE": ["$result[x]"]}})})
    assert typed.leaves_alone
    assert [place for place, _ in first_to_leave([write(), typed], cost_seconds={})] == [0]


def test_request_holds_50_commands_and_a_smaller_group_may_pass_a_bigger_one():
    line = [write(count=30), write(count=30), write(count=20)]
    assert [place for place, _ in first_to_leave(line, cost_seconds={})] == [0, 2]


def test_request_is_sized_by_time_as_well():
    places = first_to_leave([write()] * 50, cost_seconds={"crm.deal.update": 4.0})
    assert len(places) == 10


def test_loose_group_is_cut_to_the_time_and_another_leaves_whole():
    costs = {"crm.deal.update": 4.0}
    ((_, cut),) = first_to_leave([write(count=50, is_loose=True)], cost_seconds=costs)
    assert list(cut.commands) == [str(number) for number in range(10)]
    ((_, whole),) = first_to_leave([write(count=50)], cost_seconds=costs)
    assert len(whole.commands) == 50
    ((_, least),) = first_to_leave([write(count=50, is_loose=True)], cost_seconds={"crm.deal.update": 90.0})
    assert len(least.commands) == 1


def kept_of(line, allowed):
    return within(line, arrange(line), allowed)


def test_budget_of_a_method_lets_through_as_many_as_it_allows():
    line = [write(count=2), write(count=3), write(count=4, is_loose=True), read("1")]
    kept = kept_of(line, {"crm.deal.update": 4, "crm.contact.get": 1})
    assert [group and len(group.commands) for group in kept] == [2, None, 2, 1]


def test_who_stays_behind_takes_nothing_from_the_others():
    greedy = Group(commands={"one": UPDATE, "two": Command(method="crm.lead.update")})
    assert kept_of([greedy, write()], {"crm.deal.update": 1}) == [None, write()]


def test_list_counts_once_for_all_of_its_rows():
    assert kept_of([read("1"), read("2"), read("3")], {"crm.contact.list": 1}) == [read("1"), read("2"), read("3")]
    assert kept_of([read("1"), read("2")], {"crm.contact.get": 2}) == [None, None]


def test_one_bad_command_is_one_error():
    request = arrange([write(), write(), read("1")])
    batches = distribute(request, {"g0_0": True, "g2_one": {"ID": "1"}}, {"g1_0": "bad"}, error_of=own_error)
    assert [sorted(batch.results) for batch in batches] == [["0"], [], ["one"]]
    assert str(batches[1].errors["0"]) == "crm.deal.update: bad"


def test_row_that_a_list_does_not_have_is_unseen_whatever_came_instead():
    request = arrange([read("1"), read("2")])
    for rows in ([{"ID": 2}], [None, "x", {"NAME": "1"}, {"ID": "2"}]):
        first, second = distribute(request, {"list0": rows}, {}, error_of=own_error)
        assert (first.unseen, str(second.get("one")["ID"])) == ({"one"}, "2")
    for answers in (({"list0": None}, {}), ({"list0": {"1": {"ID": "1"}}}, {}), ({}, {"list0": "bad"}), ({}, {})):
        assert [batch.unseen for batch in distribute(request, *answers, error_of=own_error)] == [{"one"}, {"one"}]


def test_command_behind_the_halt_was_not_run_and_any_other_without_an_answer_is_lost():
    chain = arrange([write(count=4, halt=True)])
    (batch,) = distribute(chain, {"0": True}, {"2": "bad"}, error_of=own_error)
    assert (sorted(batch.results), sorted(batch.errors)) == (["0"], ["1", "2"])
    (batch,) = distribute(arrange([write(count=2)]), {}, {"0": "bad"}, error_of=own_error)
    assert str(batch.errors["1"]) == "crm.deal.update: None"
