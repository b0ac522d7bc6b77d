"""Whatever leaves together: each caller is answered as if it had been alone, held against a portal in a dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.portal.batch import method_of, resolved
from sandbox.portal.params import parse_query
from sync_worker.errors import RemoteRejected
from sync_worker.gateways.bitrix24.commands import MAX_BATCH, Batch, ById, Command, Group
from sync_worker.gateways.bitrix24.joining import BATCH_SECONDS, arrange, distribute, first_to_leave, within
from sync_worker.gateways.bitrix24.query import Result

HIDDEN, GONE = "8", "9"  # one that lists leave out, one that is not there
KINDS = [("*",), ("*", "UF_*")]
KEYS = st.sampled_from(["one", "two", "0", "1", "list0", "g0_one", "1_one", "card"])


@dataclass
class DictPortal:
    """Records by id. It runs the texts of a batch, as the portal does."""

    lists_fail: bool = False
    names: dict[str, str] = field(default_factory=lambda: {str(id_): f"name {id_}" for id_ in [*range(1, 9)]})

    def run(self, texts: dict[str, str], *, halt: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        results: dict[str, Any] = {}
        problems: dict[str, Any] = {}
        for key, text in texts.items():
            params = resolved(parse_query(text.partition("?")[2]), results)
            try:
                results[key] = getattr(self, method_of(text).rpartition(".")[2])(params)
            except LookupError as error:
                problems[key] = {"error": "", "error_description": str(error)}
                if halt:
                    break
        return results, problems

    def get(self, params: dict[str, Any]) -> dict[str, str]:
        if str(params["id"]) not in self.names:
            raise LookupError("Not found")
        return {"ID": params["id"], "NAME": self.names[params["id"]]}

    def list(self, params: dict[str, Any]) -> list[dict[str, str]]:
        if self.lists_fail:
            raise LookupError("No lists here")
        assert len(params["filter"]["@ID"]) == len(set(params["filter"]["@ID"])) <= 50
        assert (params["start"], params["order"]) == ("-1", {"ID": "ASC"})
        return [self.get({"id": id_}) for id_ in params["filter"]["@ID"] if id_ in self.names and id_ != HIDDEN]

    def update(self, params: dict[str, Any]) -> bool:
        self.get(params)
        self.names[str(params["id"])] = str(params["name"])
        return True

    def add(self, params: dict[str, Any]) -> str:
        self.names[params["name"]] = params["name"]
        return params["name"]


def own_error(command: Command, problem: Any) -> RemoteRejected:
    return RemoteRejected(f"{command.method}: {problem and problem['error_description']}")


def get(id_: str | Result, select: tuple[str, ...] | None = None) -> Command:
    by_id = (
        ById(id=id_, list_method="x.list", params=(("select", select),)) if select and isinstance(id_, str) else None
    )
    return Command(method="x.get", params={"id": id_}, by_id=by_id)


@st.composite
def groups(draw, own: str) -> Group:
    """Reads of what all know, writes of what is this caller's own, and commands that refer to those before."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=5, unique=True))
    commands: dict[str, Command] = {}
    for key in keys:
        earlier = [Result(other, ("ID",)) for other in commands] + [Result(other) for other in commands]
        ids = st.sampled_from([*"12345", HIDDEN, GONE, own, *earlier])
        match draw(st.sampled_from(["read", "read", "read", "get", "update", "add"])):
            case "read":
                commands[key] = get(draw(st.sampled_from([*"12345", HIDDEN, GONE, own])), draw(st.sampled_from(KINDS)))
            case "get":
                commands[key] = get(draw(ids))
            case "update":
                params = {
                    "id": draw(st.sampled_from([own, GONE])),
                    "name": draw(st.sampled_from(["a&b", "ж", *earlier])),
                }
                commands[key] = Command(method="x.update", params=params)
            case _:
                commands[key] = Command(method="x.add", params={"name": f"{own} {key}"})
    return Group(commands=commands, halt=draw(st.booleans()), is_loose=draw(st.booleans()))


@st.composite
def lines(draw) -> list[Group]:
    return [draw(groups(f"own{number}")) for number in range(draw(st.integers(1, 8)))]


def fresh(line: list[Group], *, lists_fail: bool) -> DictPortal:
    portal = DictPortal(lists_fail=lists_fail)
    portal.names |= {f"own{number}": f"own name {number}" for number in range(len(line))}
    return portal


def sent_alone(group: Group, portal: DictPortal) -> dict[str, Any]:
    texts = arrange([Group(commands={key: one.alone() for key, one in group.commands.items()})]).texts()
    results, problems = portal.run(texts, halt=group.halt)
    return results | {key: str(own_error(group.commands[key], problem)) for key, problem in problems.items()}


def sent_together(chosen: list[Group], portal: DictPortal) -> list[dict[str, Any]]:
    request = arrange(chosen)
    assert len(request.commands) <= MAX_BATCH
    assert len(request.texts()) == len(request.commands)
    results, problems = portal.run(request.texts(), halt=request.halt)
    batches = distribute(request, results, problems, error_of=own_error)
    return [as_seen(group, batch, portal) for group, batch in zip(chosen, batches, strict=True)]


def as_seen(group: Group, batch: Batch, portal: DictPortal) -> dict[str, Any]:
    """With the unseen asked for once more, as the client does."""
    assert not batch.unseen & (batch.results.keys() | batch.errors.keys())
    found = {**batch.results, **{key: str(error) for key, error in batch.errors.items()}}
    if batch.unseen:
        found |= sent_alone(Group(commands={key: group.commands[key] for key in batch.unseen}), portal)
    return found


@given(lines(), st.booleans())
def test_every_caller_is_answered_as_if_it_had_been_alone(line, lists_fail):
    together, left = fresh(line, lists_fail=lists_fail), dict(enumerate(line))
    while left:
        numbers = list(left)
        places = first_to_leave([Group(commands=one.commands, halt=one.halt) for one in left.values()], cost_seconds={})
        chosen = [group for _, group in places]
        for (place, group), seen in zip(places, sent_together(chosen, together), strict=True):
            apart = fresh(line, lists_fail=lists_fail)
            assert seen == sent_alone(group, apart)
            own = f"own{numbers[place]}"
            assert {name: said for name, said in together.names.items() if name.startswith(own)} == {
                name: said for name, said in apart.names.items() if name.startswith(own)
            }
            del left[numbers[place]]


@given(
    st.lists(
        st.builds(
            lambda sizes, halt, is_loose, tag: Group(
                commands={
                    f"{tag}{number}": Command(method=f"x.{'get' if number % 2 else 'update'}", params={"id": number})
                    for number in range(sizes)
                },
                halt=halt,
                is_loose=is_loose,
            ),
            st.integers(1, MAX_BATCH),
            st.booleans(),
            st.booleans(),
            st.sampled_from("abc"),
        ),
        min_size=1,
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(["x.get", "x.update"]), st.floats(0.0, 60.0)),
)
def test_request_is_never_too_long_and_never_takes_too_much_time(line, cost_seconds):
    places = first_to_leave(line, cost_seconds=cost_seconds)
    numbers = [place for place, _ in places]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    commands = [command for _, group in places for command in group.commands.values()]
    assert len(commands) <= MAX_BATCH
    whole = line[0].commands if not line[0].is_loose else {}
    seconds = sum(cost_seconds.get(command.method, 0.5) for command in commands)
    assert seconds <= BATCH_SECONDS + 1e-6 or len(places) == 1
    assert seconds <= BATCH_SECONDS + 1e-6 or len(commands) == 1 or len(commands) == len(whole) or line[0].leaves_alone
    for place, group in places:
        assert list(group.commands) == list(line[place].commands)[: len(group.commands)]
        assert group.is_loose or len(group.commands) == len(line[place].commands)
        assert not group.leaves_alone or len(places) == 1


@given(lines(), st.dictionaries(st.sampled_from(["x.get", "x.list", "x.update", "x.add"]), st.integers(0, 6)))
def test_nobody_leaves_with_more_than_the_budget_allows(line, allowed):
    request = arrange(line)
    kept = within(line, request, allowed)
    sent = {
        places[key].key
        for group, places in zip(kept, request.seats, strict=True)
        for key in (group.commands if group else ())
    }
    used: dict[str, int] = {}
    for key in sent:
        used[request.commands[key].method] = used.get(request.commands[key].method, 0) + 1
    assert all(count <= allowed.get(method, 0) for method, count in used.items())
    for group, left in zip(line, kept, strict=True):
        assert left is None or left == group or (group.is_loose and 0 < len(left.commands) < len(group.commands))
