"""Every benchmark, one after another: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "ingress",
    "latency",
    "redis_memory",
    "dead_letters",
    "idle_call",
    "bitrix24_budget",
    "operating",
    "contact_events",
    "steady_state",
    "backlog",
    "task_overhead",
    "onec_batching",
)


def main() -> None:
    failed = []
    for name in NAMES:
        print(f"\n=== {name}", flush=True)
        if subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]):
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
