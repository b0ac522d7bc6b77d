"""Faults by flag and at run time: what goes wrong, where, how often.

A plan is written `kind[:pattern][=probability][xTIMES][@SECONDS]`, several joined by commas:

    reset_after:crm.contact.add=1x2     the first two contact adds are done, then the connection is reset
    http500=0.05                        one call in twenty answers 500
    hang:/orders=1x1@5                  the first call to /orders hangs for five seconds
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

KINDS = (
    "http500",  # an error in the system's own JSON shape, before anything is done
    "http502",  # a proxy's HTML page, before anything is done
    "http503",  # the server is too busy, before anything is done
    "html",  # a 200 whose body is a page, after the work was done
    "truncated",  # (portal) a 200 whose JSON ends in the middle, after the work was done
    "no_result",  # (portal) a 200 whose JSON has neither result nor error, after the work was done
    "error_in_200",  # (portal) a 200 whose JSON is an error, before anything is done
    "reset_before",  # the connection is cut before anything is done
    "reset_after",  # the work is done, then the connection is cut: the answer is lost
    "hang",  # nothing is said for `seconds`, then the call goes on as usual
    "maintenance",  # the system is closed: 1C answers 403, a portal 503 OVERLOAD_LIMIT
    "blocked",  # (portal) 503 OVERLOAD_LIMIT, of whole requests: as maintenance is, and of the portal alone
    "expired",  # (portal) 401: the webhook is past its expiry date
    "licence",  # (portal) 403: the plan has no REST
    "renamed",  # (portal) 302 to the address that the portal has now
    "event_loss",  # (webhooks) the event is never sent
    "event_repeat",  # (webhooks) the event is sent twice
    "event_shuffle",  # (webhooks) the event is held back and sent after later ones
)
_SPEC = re.compile(
    r"^(?P<kind>[a-z0-9_]+)(?::(?P<pattern>[^=@]+?))?(?:=(?P<share>[0-9.]+))?(?:x(?P<times>[0-9]+))?(?:@(?P<seconds>[0-9.]+))?$"
)


@dataclass(kw_only=True, slots=True)
class Fault:
    """One thing that may go wrong. `share` is 0..1; `times` left, None for ever; `seconds` for hangs and delays."""

    kind: str
    pattern: str = "*"
    share: float = 1.0
    times: int | None = None
    seconds: float = 1.0

    def __str__(self) -> str:
        times = "" if self.times is None else f"x{self.times}"
        return f"{self.kind}:{self.pattern}={self.share:g}{times}@{self.seconds:g}"


def parse_faults(spec: str) -> list[Fault]:
    """Read a plan; ValueError names the part that is wrong."""
    faults = []
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        match = _SPEC.match(part)
        if not match or match["kind"] not in KINDS:
            raise ValueError(
                f"not a fault: {part!r}; write kind[:pattern][=share][xTIMES][@SECONDS], kinds: {', '.join(KINDS)}"
            )
        faults.append(
            Fault(
                kind=match["kind"],
                pattern=match["pattern"] or "*",
                share=float(match["share"] or 1),
                times=int(match["times"]) if match["times"] else None,
                seconds=float(match["seconds"] or 1),
            )
        )
    return faults


@dataclass(slots=True)
class FaultPlan:
    """The faults in force. Thread-safe; the same seed draws the same faults for the same calls."""

    faults: list[Fault] = field(default_factory=list)
    seed: int = 0
    _random: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def replace(self, spec: str) -> None:
        """Put another plan in force; an empty one ends all faults."""
        faults = parse_faults(spec)
        with self._lock:
            self.faults = faults

    def draw(self, kind: str, where: str) -> Fault | None:
        """Return the fault of this kind that strikes this call now, and use it up."""
        with self._lock:
            for fault in self.faults:
                if fault.kind != kind or fault.times == 0 or not fnmatchcase(where, fault.pattern):
                    continue
                if self._random.random() < fault.share:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def describe(self) -> list[str]:
        with self._lock:
            return [str(fault) for fault in self.faults]
