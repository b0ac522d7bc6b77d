"""Which histories hypothesis draws, and how one is judged."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from sync_worker.domain.identity import System
from tests.unit.sync.histories import STEPS, History, Plan, happen
from tests.unit.sync.history_people import Step
from tests.unit.sync.history_sides import MOMENTS, Fate
from tests.unit.sync.history_values import AGREEMENTS

INTERESTING = frozenset(
    {
        "field_conflict",
        "ambiguous_match",
        "link_broken",
        "put back",
        "merge",
        "crash between create and link",
        "lost answer",
        "deletion",
        "restored",
        "parked",
        "crash",
        "store down",
        "edit meanwhile",
        "resolve",
    }
)
"""States that a few hundred histories have to reach, or they show little."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # to explain a failure takes minutes

numbers = st.integers(0, 11)
fates = st.builds(Fate, kind=st.sampled_from(tuple(MOMENTS)), at=st.integers(0, 39))
steps = st.builds(
    Step,
    kind=st.sampled_from(STEPS),
    side=st.sampled_from(System),
    which=numbers,
    what=numbers,
    value=numbers,
    wait=st.sampled_from([3.0, 0.0, 0.5, 60.0]),
    fate=st.none() | fates,
)


def plans(loses: st.SearchStrategy[bool] | None = None) -> st.SearchStrategy[Plan]:
    # a list of hypothesis has five items or so, which gets nowhere; of several lists each shrinks well
    long_lists = st.tuples(*[st.lists(steps, max_size=12)] * 4)
    return st.builds(
        Plan,
        rules=st.integers(0, len(AGREEMENTS) - 1),
        loses=st.booleans() if loses is None else loses,
        rings_for_parts=st.booleans(),
        seed=st.integers(0, 2**16),
        steps=long_lists.map(lambda lists: tuple(chain(*lists))),
    )


def digest_of_traces(count: int) -> str:
    """Of the first so many histories, which are the same in every process."""
    found = hashlib.sha256()

    @settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(plans())
    def add(plan: Plan) -> None:
        found.update("\n".join(happen(plan).trace).encode())

    add()
    return found.hexdigest()


@dataclass
class Findings:
    """How many histories got to what."""

    count: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def judge(self, plan: Plan) -> None:
        history = happen(plan)
        self.look(history)
        told = "\n".join(history.trace)
        assert history.faults() == [], told
        assert history.written_by_another_sync() == [], told

    def look(self, history: History) -> None:
        self.count += 1
        reached = {name for name, times in history.seen.items() if times}
        self.seen.update(reached)
        for name in sorted(reached & INTERESTING):
            event(name)

    def missing(self) -> set[str]:
        """What no history got to."""
        return set(INTERESTING - self.seen.keys())

    def __str__(self) -> str:
        return ", ".join(f"{name} {self.seen[name]}" for name in sorted(INTERESTING))
