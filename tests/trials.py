"""The trials of reliability at full size, and their table in docs/reliability.md.

`python -m tests.trials` holds them all, one after another, and writes a row for each; `python -m tests.trials NAME ...`
only those, and leaves the other rows as they are. TRIAL_SEED=N draws the moments and orders of an earlier run again.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.process.accepting import accept
from tests.process.chaos import live_through
from tests.process.cutting import Cuts, cut_rabbitmq, cut_redis
from tests.process.exchange import PLAN_RULES, standard_portal
from tests.process.filling import ENDS, ENDS_SPOOL_TOO, REFUSES, fill_disks
from tests.process.killing import kill_at_every_step, kill_whole_tree
from tests.process.losing import alternate, lose_answers, meet
from tests.process.outages import Outage, be_away
from tests.process.shuffling import shuffle
from tests.process.stalling import stall
from tests.process.trials import TrialPlace, Verdict, new_seed
from tests.services import ROOT

PAGE = ROOT / "docs" / "reliability.md"
RECOVERY_SECONDS = 9.4  # from a kill of the workers to the last event that was in flight, in 99 of 100 kills
BACK_SECONDS = 10  # from the end of a broker's absence until every worker consumes again
LIVE_SECONDS = 30  # from a save on the portal until 1C has it, while a backlog is worked off, in 95 of 100 edits
BEGIN, END = "<!-- trials -->", "<!-- /trials -->"
HEAD = "| `python -m tests.trials` | What was done | Verdict | What came out | Took, seed |\n|---|---|---|---|---|"
_ROW = re.compile(r"^\| `(?P<name>\w+)` \|.*\|$", re.MULTILINE)

Trial = Callable[[Path, int], Verdict]


def _placed(hold: Callable[..., Verdict], **size: float) -> Trial:
    """A trial in an exchange of its own."""

    def run(folder: Path, seed: int) -> Verdict:
        with TrialPlace(folder) as place:
            return hold(place, seed=seed, **size)

    return run


def _many_cuts(seed: int) -> Cuts:
    return Cuts(kills=20, resets=20, seed=seed, granted_seconds=BACK_SECONDS)


def _away_for_long(folder: Path, seed: int) -> Verdict:
    """At the pace of a standard portal: what it may be asked is what the catching up is short of."""
    outage = Outage(
        contacts=800, deals=200, events=10_000, poison=200, seconds=300, live=50, granted_live_seconds=LIVE_SECONDS
    )
    with TrialPlace(folder, portal=standard_portal(), rules=PLAN_RULES) as place:
        return be_away(place, outage, seed=seed)


def _full_disks(folder: Path, seed: int) -> Verdict:
    return fill_disks(folder, phases=[REFUSES, ENDS, ENDS_SPOOL_TOO], events=500, seed=seed)


def _random_histories(folder: Path, seed: int) -> Verdict:
    return live_through(folder, histories=50, edits=20, faults=8, seconds=5, seed=seed)


TRIALS: Mapping[str, Trial] = {
    "create_kills": _placed(kill_at_every_step, runs=250),
    "tree_kills": _placed(kill_whole_tree, events=500, kills=5, granted_seconds=RECOVERY_SECONDS),
    "tree_kills_large": _placed(kill_whole_tree, events=10_000, kills=100, granted_seconds=RECOVERY_SECONDS),
    "accepting": _placed(accept, events=10_000, kills=10, away_seconds=600),
    "stalls": _placed(stall, stalls=10),
    "lost_answers": _placed(lose_answers, each=20),
    "one_key": _placed(meet, pairs=100),
    "shuffled": _placed(shuffle, records=50, window_seconds=5),
    "alternating": _placed(alternate, edits=1_000, records=20),
    "onec_away": _away_for_long,
    "full_disks": _full_disks,
    "random_histories": _random_histories,
    "redis_cuts": lambda folder, seed: cut_redis(folder, _many_cuts(seed)),
    "rabbitmq_cuts": lambda folder, seed: cut_rabbitmq(folder, _many_cuts(seed)),
}


def main(names: Iterable[str]) -> None:
    chosen = list(names) or list(TRIALS)
    if unknown := set(chosen) - set(TRIALS):
        sys.exit(f"no such trial: {', '.join(sorted(unknown))}; there are {', '.join(TRIALS)}")
    failed = [name for name in chosen if not _hold(name)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _hold(name: str) -> bool:
    """Hold one trial, print and write what came out; False where it failed."""
    seed, began = new_seed(), time.monotonic()
    print(f"=== {name}, TRIAL_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            verdict = TRIALS[name](Path(folder), seed)
        except AssertionError as never:  # it never came to rest
            verdict = Verdict(trial=name, seed=seed, passed=False, seen=str(never))
    print(verdict, flush=True)
    PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), name, verdict, seconds=time.monotonic() - began))
    return verdict.passed


def with_row(page: str, name: str, verdict: Verdict, *, seconds: float) -> str:
    """The page with this trial's row made anew; the others stay, all in the order of TRIALS."""
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {found["name"]: found[0] for found in _ROW.finditer(table)}
    cells = (
        f"`{name}`",
        verdict.trial,
        "passed" if verdict.passed else "**failed**",
        verdict.seen,
        f"{seconds:.0f} s, seed {verdict.seed}, {datetime.now(UTC):%Y-%m-%d}",
    )
    rows[name] = f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
    lines = [rows[one] for one in TRIALS if one in rows]
    return f"{before}{BEGIN}\n{HEAD}\n" + "\n".join(lines) + f"\n{END}{after}"


if __name__ == "__main__":
    main(sys.argv[1:])
