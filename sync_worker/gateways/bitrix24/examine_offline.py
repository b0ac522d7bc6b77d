"""What `doctor` looks at where a local application's offline queue is read, and what it says where none is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sync_worker.entities.results import Finding
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.application import ApplicationClient
from sync_worker.gateways.bitrix24.offline import Bitrix24Offline

QUEUE = "Bitrix24 offline queue"
NEEDED_SCOPE = "crm"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOfflineExaminer:
    """Port: Examiner. No local application is set up, and none has to be."""

    def examine(self) -> list[Finding]:
        return [Finding(check=QUEUE, ok=True, found="off: events come by webhook, what is missed by the sweep")]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfflineExaminer:
    """Port: Examiner. It binds nothing: that is the workers' to do."""

    client: ApplicationClient
    codes: tuple[str, ...]

    def examine(self) -> list[Finding]:
        findings = []
        try:
            for finding in self._findings():
                findings.append(finding)  # those before a failure count
        except SyncError as error:
            advice = "mend what it says; until then events come by webhook, and what is missed by the sweep"
            findings.append(Finding(check="Bitrix24 application answers", ok=False, found=str(error), advice=advice))
        return findings

    def _findings(self) -> Iterator[Finding]:
        queue = Bitrix24Offline(client=self.client)
        yield Finding(check=QUEUE, ok=True, found=_how(can_reserve=queue.can_reserve()))
        yield _check_user(self.client.call("profile"))
        yield _check_scope(self.client.call("scope"))
        yield _check_codes(queue.bound(), self.codes)
        yield _check_failed(queue.failed())


def _how(*, can_reserve: bool) -> str:
    if can_reserve:
        return "on: rows stay on the portal until they are in safety"
    return "on, without reservation (rest_offline_extended is N): each row is noted in Redis before it is taken"


def _check_user(profile: object) -> Finding:
    told: Mapping[str, object] = profile if isinstance(profile, Mapping) else {}
    is_admin = bool(told.get("ADMIN"))
    return Finding(
        check="Bitrix24 user of the application",
        ok=is_admin,
        found=f"user {told.get('ID', '?')}, {'administrator' if is_admin else 'no administrator'}",
        advice="let an administrator authorise the local application: nobody else may read the offline queue",
    )


def _check_scope(scope: object) -> Finding:
    given = scope if isinstance(scope, Collection) else ()
    return Finding(
        check="Bitrix24 scope of the application",
        ok=NEEDED_SCOPE in given,
        found=NEEDED_SCOPE if NEEDED_SCOPE in given else f"missing: {NEEDED_SCOPE}",
        advice="edit the local application and tick CRM (crm), then authorise it anew",
    )


def _check_codes(bound: Collection[str], wanted: tuple[str, ...]) -> Finding:
    """What is missing is bound by the workers, within an hour, or is not on this portal: no fault either way."""
    missing = [code for code in wanted if code not in bound]
    found = f"{len(wanted) - len(missing)} of {len(wanted)} are bound"
    more = f"; the workers bind, or the portal has not: {', '.join(missing)}" if missing else ""
    return Finding(check="Bitrix24 offline events", ok=True, found=found + more)


def _check_failed(failed: int) -> Finding:
    return Finding(
        check="Bitrix24 rows marked as failed",
        ok=failed == 0,
        found=str(failed) if failed else "none",
        advice="look for offline_queue in the workers' log and tell us; the sweep finds their records",
    )
