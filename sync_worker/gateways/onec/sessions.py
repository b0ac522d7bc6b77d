"""1C sessions that outlive one call, so that one licence and one slow start serve many (notes on 1C, 1.3).

A session serves one call at a time. It is taken and given back while a slot is held, so where all workers share one
`SessionCookies`, there are never more sessions than slots: a new one is started only when none lies idle. One
exception cannot be helped: a start whose answer is lost leaves a session that nobody knows. Where that was the last
licence, 1C refuses the next start until it has ended that session, and that is waited out as any shortage is.
"""

from __future__ import annotations

from typing import Protocol

COOKIE = "ibsession"


class SessionCookies(Protocol):
    """Sessions that anybody who holds a slot may go on with: idle ones, and those whose user died."""

    def take(self, slot: str) -> str | None:
        """The cookie of the one used last: it is the least likely to have timed out. Used in this slot from now on."""

    def drop(self, cookie: str) -> None:
        """1C has ended that session."""

    def give_back(self, cookie: str, *, slot: str = "", was_cut: bool = False) -> None:
        """Keep it. `slot`: the one that it was taken in, blank for a new one.

        `was_cut`: its call got no answer; it may live and hold its licence, so it gets one more chance.
        """


def session_headers(cookie: str | None) -> dict[str, str]:
    """Go on with a session, or ask for one to keep. A publication that allows none says nothing to it."""
    return {"Cookie": f"{COOKIE}={cookie}"} if cookie else {"IBSession": "start"}
