"""How the exchange stands, in one line that `up` keeps up to date: as the ingress's /readyz tells it."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TextIO

import click

ON_TERMINAL_SECONDS = 2.0
PIPED_SECONDS = 60.0
PATIENCE_SECONDS = 3.0
LONGEST_LINE = 118
_OVERWRITE = "\r\x1b[2K"


class StatusLine:
    """One line that is written over on a terminal; a line a minute where the output goes elsewhere."""

    def __init__(
        self, readyz_url: str, *, out: TextIO | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = readyz_url
        self._out = sys.stdout if out is None else out
        self._monotonic = monotonic
        self._due_at = 0.0

    def show(self) -> None:
        """Bring the line up to date, where it is time for that."""
        if self._monotonic() < self._due_at:
            return
        line = f"{datetime.now().astimezone():%H:%M:%S}  {in_words(ask(self._url))}"
        if self._out.isatty():
            click.echo(_OVERWRITE + line[:LONGEST_LINE], file=self._out, nl=False)
        else:
            click.echo(line, file=self._out)
        self._due_at = self._monotonic() + (ON_TERMINAL_SECONDS if self._out.isatty() else PIPED_SECONDS)

    def end(self) -> None:
        """Leave the line where it is, and begin a new one."""
        if self._out.isatty():
            click.echo(file=self._out)


def ask(readyz_url: str) -> Mapping[str, Any]:
    """What /readyz answers, a refusal too; `{}` where there is no answer that can be read."""
    try:
        with urllib.request.urlopen(readyz_url, timeout=PATIENCE_SECONDS) as reply:  # noqa: S310  # our own address
            told = json.load(reply)
    except urllib.error.HTTPError as refusal:
        with refusal:
            told = {"refused": refusal.code}
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def in_words(told: Mapping[str, Any]) -> str:
    if not told:
        return "the ingress does not answer"
    if "refused" in told:
        return f"the ingress takes no events ({told['refused']}): the queue cannot be reached"
    return "  ".join(_parts(told))


def _parts(told: Mapping[str, Any]) -> Iterator[str]:
    if told.get("status") != "ready":
        yield f"{told.get('status')}: {'; '.join(map(str, told.get('troubles', ())))}"
    if "queued" in told:
        by_queue = sorted(told["queued"].items(), key=lambda item: -item[1])
        names = ", ".join(f"{name} {length}" for name, length in by_queue)
        yield f"queued {sum(told['queued'].values())}" + (f" ({names})" if names else "")
    if "parked" in told:
        yield f"parked {told['parked']}"
    if told.get("oldest_seconds"):
        yield f"oldest {_oldest(told['oldest_seconds'])}"
    if "dead_letters" in told:
        yield f"letters {told['dead_letters']}"


def _oldest(ages: Mapping[str, float]) -> str:
    entity, seconds = max(ages.items(), key=lambda item: item[1])
    return f"{spoken(seconds)} ({entity})" if seconds else "-"


def spoken(seconds: float) -> str:
    """An age as a person says it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 120 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
