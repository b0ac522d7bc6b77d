"""The faults of a portal: which strike a call, before its work or after it, and what the caller sees of them.

A fault is drawn for the method of the request, and again for each command of a batch. What concerns the whole
portal (blocked, expired, licence, renamed) or the whole body (truncated) strikes requests only: `blocked:batch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from sandbox.faults import FaultPlan
from sandbox.portal import errors
from sandbox.portal.clock import PortalClock
from sandbox.portal.errors import (
    CutConnectionError,
    LostResultError,
    ProxyPageError,
    RenamedError,
    RestError,
    SpoiledAnswerError,
)

_REFUSALS = {"blocked": errors.overloaded, "expired": errors.expired, "licence": errors.unlicensed}
_PAGE = "<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Troubles:
    """Draws the faults in force. A refusal is raised as RestError, everything else as its own exception."""

    faults: FaultPlan
    clock: PortalClock

    def before_request(self, method: str) -> None:
        """Strike a request before anything is done."""
        if not self.faults.faults:
            return
        if self.faults.draw("renamed", method):
            raise RenamedError
        for kind, refusal in _REFUSALS.items():
            if self.faults.draw(kind, method):
                raise refusal()
        self.before_command(method)
        for kind, status in (("http502", HTTPStatus.BAD_GATEWAY), ("http503", HTTPStatus.SERVICE_UNAVAILABLE)):
            if self.faults.draw(kind, method):
                raise ProxyPageError(status)

    def before_nested(self, method: str) -> None:
        """Strike a command of a batch: there is no proxy between the batch and its commands."""
        if not self.faults.faults:
            return
        self.before_command(method)
        if self.faults.draw("http502", method) or self.faults.draw("http503", method):
            raise errors.unexpected_answer()

    def before_command(self, method: str) -> None:
        """Strike what may come alone or in a batch."""
        hang = self.faults.draw("hang", method)
        if hang:
            self.clock.sleep(hang.seconds)
        if self.faults.draw("reset_before", method):
            raise CutConnectionError
        if self.faults.draw("maintenance", method):
            raise errors.overloaded()
        if self.faults.draw("http500", method):
            raise errors.internal()
        if self.faults.draw("error_in_200", method):
            failed = errors.internal()
            raise RestError(failed.code, failed.description, status=HTTPStatus.OK)

    def after_command(self, method: str) -> None:
        """Strike when the work is done: the answer is lost, or is no answer."""
        if not self.faults.faults:
            return
        if self.faults.draw("reset_after", method):
            raise CutConnectionError
        if self.faults.draw("html", method):
            raise SpoiledAnswerError("html")
        if self.faults.draw("no_result", method):
            raise LostResultError

    def truncates(self, method: str) -> bool:
        """Say whether the answer to this request ends in the middle."""
        return bool(self.faults.faults) and self.faults.draw("truncated", method) is not None


def page(title: str) -> str:
    """Write a page where an answer should be."""
    return _PAGE.format(title=title)
