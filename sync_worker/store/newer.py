"""Which of two events of one record is kept, wherever only one can be."""

from __future__ import annotations

from dataclasses import replace

from sync_worker.contract import ChangeEvent, Lane


def newer_event(first: ChangeEvent, second: ChangeEvent) -> ChangeEvent:
    """The one that makes the other superfluous.

    Of two from 1C the one with the higher write counter, whichever came first; of two doorbells the one rung last.
    An event that carries 1C's state is kept over a doorbell: the flow reads Bitrix24 afresh anyway, but the state may
    be had nowhere else. Of equals the second.
    """
    if first.onec is not None and second.onec is not None and first.onec.sequence != second.onec.sequence:
        return first if first.onec.sequence > second.onec.sequence else second
    if (first.onec is None) != (second.onec is None):
        return second if first.onec is None else first
    return first if first.seen_at > second.seen_at else second


def merged_event(first: ChangeEvent, second: ChangeEvent) -> ChangeEvent:
    """The newer of the two, with what the older one asks for besides.

    It is live if either is, looks at the whole record if either has to, and stays the replay of its letter.
    """
    newer = newer_event(first, second)
    return replace(
        newer,
        lane=Lane.LIVE if Lane.LIVE in (first.lane, second.lane) else Lane.BULK,
        whole=first.whole or second.whole,
        letter=newer.letter or first.letter or second.letter,
    )
