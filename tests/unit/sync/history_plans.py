"""Which histories hypothesis draws, and how one is judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import event
from hypothesis import strategies as st

from sync_worker.domain.identity import System
from tests.unit.sync.histories import AGREEMENTS, STEPS, Plan, Step, happen
from tests.unit.sync.history_sides import FATES, Fate

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
        "resolve",
    }
)
"""States that a few hundred histories have to reach, or they show little."""

numbers = st.integers(0, 11)
fates = st.builds(Fate, kind=st.sampled_from(FATES), at=st.integers(0, 39))
steps = st.builds(
    Step,
    kind=st.sampled_from(STEPS),
    side=st.sampled_from(System),
    which=numbers,
    what=numbers,
    value=numbers,
    wait=st.sampled_from([3.0, 0.0, 0.5, 60.0]),
    fate=st.sampled_from([False, False, True]).flatmap(lambda strikes: fates if strikes else st.none()),
)


def plans(*, loses: bool = True) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        rules=st.integers(0, len(AGREEMENTS) - 1),
        loses=st.just(loses),
        rings_for_parts=st.booleans(),
        seed=st.integers(0, 2**16),
        # hypothesis on its own draws lists of a few, and those get nowhere
        steps=st.integers(3, 40).flatmap(lambda count: st.lists(steps, min_size=count, max_size=count)).map(tuple),
    )


@dataclass
class Findings:
    """How many histories got to what."""

    count: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def judge(self, plan: Plan) -> None:
        history = happen(plan)
        self.count += 1
        reached = {name for name, times in history.seen.items() if times}
        self.seen.update(reached)
        for name in sorted(reached & INTERESTING):
            event(name)
        told = "\n".join(history.trace)
        assert history.faults() == [], told
        assert history.writes_of_another_sync() == [], told

    def missing(self) -> set[str]:
        """What no history got to."""
        return set(INTERESTING - self.seen.keys())

    def __str__(self) -> str:
        return ", ".join(f"{name} {self.seen[name]}" for name in sorted(INTERESTING))
