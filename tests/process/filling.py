"""Trials in which a disk is full: the one under Redis, and the one under the ingress's spool as well."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from sync_worker.embedded_redis import redis_server_path
from tests.process.disks import Disk, small_disk
from tests.process.exchange import wait_until
from tests.process.trials import TrialPlace, Verdict, add_contacts, partners
from tests.services import IngressProcess, RedisServer

SETTLE_SECONDS = 240
RESTART_SECONDS = 1.0
PACE_SECONDS = 0.03  # from one new contact to the next
REFUSALS = 10  # that show that neither Redis nor the spool can take an event
ENDED = "Can't recover from AOF write error"  # Redis's last words
NO_ROOM = "the spool or its disk is full"
NEITHER = "neither the queue nor the spool can take it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """Which disk is full, and how Redis keeps its file: with `always` it ends at the first write that is refused, and
    is started again; with `everysec` it lives, and refuses all that would change anything."""

    fsync: str
    spool_too: bool = False

    def __str__(self) -> str:
        return f"appendfsync {self.fsync}{', the spool too' if self.spool_too else ''}"


REFUSES = Phase(fsync="everysec")
ENDS = Phase(fsync="always")
ENDS_SPOOL_TOO = Phase(fsync="always", spool_too=True)


class CrampedRedis(RedisServer):
    """The embedded Redis with its data on a small disk. One that ends by itself is started again, as by `up`."""

    def __init__(self, folder: Path, disk: Disk, data: Path) -> None:
        super().__init__(folder)
        self.disk = disk
        self.ends = 0  # how often it ended by itself
        self._is_over = threading.Event()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        with self._conf.open("a", encoding="utf-8") as conf:
            conf.write(f'dir "{data}"\n')

    def start(self) -> CrampedRedis:
        super().start()
        self._keeper.start()
        return self

    def kill(self) -> None:
        self._is_over.set()
        if self._keeper.is_alive():
            self._keeper.join(timeout=10)
        super().kill()

    def fill(self) -> None:
        self.disk.fill(self.pid, logs=[self._log_path])

    def free(self) -> None:
        self.disk.free(self.pid)

    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def refuses(self) -> bool:
        """It has met the full disk."""
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.info("persistence")["aof_last_write_status"] != "ok")
        except redis.RedisError:
            return not self.is_running

    def is_well(self) -> bool:
        """It writes again."""
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.set("trial:well", "yes", ex=1))
        except redis.RedisError:
            return False

    def _launch(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.disk.command([str(redis_server_path()), str(self._conf)]),
                stdout=log,
                stderr=log,
                restore_signals=False,  # SIGXFSZ stays ignored: a write beyond the limit is an error, and no death
            )

    def _keep_alive(self) -> None:
        while not self._is_over.wait(RESTART_SECONDS):
            if not self.is_running:
                self.ends += 1
                self._launch()


class CrampedPlace(TrialPlace):
    """Redis and the ingress's spool have small disks of their own."""

    def __init__(self, folder: Path, *, may_mount: bool = True) -> None:
        self._disks = ExitStack()
        for_redis, for_spool = folder / "redis-disk", folder / "spool-disk"
        try:
            super().__init__(folder)
            redis_disk = self._disks.enter_context(small_disk(for_redis, may_mount=may_mount))
            self.spool_disk = self._disks.enter_context(small_disk(for_spool, may_mount=may_mount))
        except BaseException:
            self._disks.close()
            raise
        self.redis: CrampedRedis = CrampedRedis(folder / "redis", redis_disk, for_redis)

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._disks.close()

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"INGRESS_SPOOL": str(self.folder / "spool-disk" / "spool")}

    def _make_ingress(self) -> IngressProcess:
        return IngressProcess(self.folder, self.environment, wrap=self.spool_disk.command)

    @contextmanager
    def full(self, phase: Phase) -> Iterator[None]:
        self.redis.fill()
        if phase.spool_too:
            self.spool_disk.fill(*self.ingress.pids, logs=[self.ingress.log_path])
        try:
            yield
        finally:
            self.redis.free()
            if phase.spool_too:
                self.spool_disk.free(*self.ingress.pids)
        wait_until(self.redis.is_well, what="Redis writes again")

    def keep(self, fsync: str) -> None:
        with redis.Redis.from_url(self.redis.url()) as client:
            client.config_set("appendfsync", fsync)

    def ready(self) -> str:
        return str(self.http.get(f"{self.ingress_url}/readyz", timeout=10).text)

    def doctor(self) -> str:
        return self.command("doctor", "--json").stdout

    def answers(self) -> dict[int, int]:
        """What the ingress said to each new contact's event; 0 where it said nothing."""
        return {
            int(fired.data["FIELDS"]["ID"]): int(delivery.get("status", 0))
            for fired in list(self.portal.events.log)
            if fired.event == "ONCRMCONTACTADD"
            for delivery in fired.deliveries
        }


class _Writer(threading.Thread):
    """A manager who types in one contact after another."""

    def __init__(self, place: CrampedPlace, name: str) -> None:
        super().__init__(daemon=True)
        self._place, self._name = place, name
        self._stopping = threading.Event()
        self.ids: list[int] = []

    def run(self) -> None:
        while not self._stopping.wait(PACE_SECONDS):
            self.ids += add_contacts(self._place, [f"{self._name}{len(self.ids)}"])

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=30)


@dataclass(kw_only=True)
class _Told:
    """What one phase came to. `unclear`: where an operator looks and is not told."""

    phase: Phase
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    back_seconds: float = 0.0
    lost: list[int] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.phase}: {self.accepted} of {self.sent} events answered 202 ({self.refused} refused with 503), "
            f"{len(self.lost)} of those lost {self.lost[:3]}, all through {self.back_seconds:.0f} s "
            "after there was room"
        )


def fill_disks(folder: Path, *, phases: Sequence[Phase], events: int, seed: int) -> Verdict:
    """About `events` new contacts in each phase, before, while and after the disk is full; the seed draws the order.

    A sweep runs at the end only, for what was refused.
    """
    with CrampedPlace(folder) as place:
        told = [_fill(place, phase, events) for phase in random.Random(seed).sample(phases, len(phases))]
        ids, letters = {int(card["ID"]) for card in place.contacts()}, place.letters()
        found_by_sweep = _sweep(place)
        missing, twice = ids - partners(place).keys(), len(place.parties()) - len(partners(place))
        is_right = not missing and not twice and len(place.contacts()) == len(ids) and not letters
        refused_as_asked = all(one.refused == 0 for one in told if not one.phase.spool_too)
        unclear = [f"{one.phase}: {where}" for one in told for where in one.unclear]
        return Verdict(
            trial=f"the disk under Redis is full, and under the spool too ({place.redis.disk.name}); "
            f"{sum(one.sent for one in told)} new contacts",
            seed=seed,
            passed=is_right and refused_as_asked and not unclear and not any(one.lost for one in told),
            seen=f"{'; '.join(map(str, told))}; Redis ended {place.redis.ends} times; those refused were found by a "
            f"sweep ({found_by_sweep}): {len(missing)} missing, {twice} twice, {len(letters)} dead letters; "
            f"not told clearly: {unclear or 'nothing'}",
        )


def _fill(place: CrampedPlace, phase: Phase, events: int) -> _Told:
    place.keep(phase.fsync)
    before = place.answers()
    told, writer = _Told(phase=phase), _Writer(place, f"Полный {phase} ")
    marks = {"ingress": len(place.ingress.log()), "worker": len(place.worker.log()), "Redis": len(place.redis.log())}
    writer.start()
    wait_until(lambda: len(writer.ids) >= events // 4, what="some are sent")
    with place.full(phase):
        wait_until(place.redis.refuses, what="Redis has met the full disk")
        known = place.answers().keys()
        if phase.spool_too:
            wait_until(lambda: list(_since(place, before).values()).count(503) >= REFUSALS, what="refusals")
        wait_until(lambda: len(place.answers().keys() - known) >= events // 2, what="more are sent")
        told.unclear = _unclear(place, phase, marks)
    began = time.monotonic()
    wait_until(lambda: len(writer.ids) >= events, what="all are sent")
    writer.stop()
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    told.back_seconds = time.monotonic() - began
    answers = _since(place, before)
    told.sent, told.accepted = len(answers), list(answers.values()).count(202)
    told.refused = list(answers.values()).count(503)
    arrived = partners(place).keys()
    told.lost = sorted(id_ for id_, status in answers.items() if status == 202 and id_ not in arrived)
    return told


def _since(place: CrampedPlace, before: dict[int, int]) -> dict[int, int]:
    return {id_: status for id_, status in place.answers().items() if id_ not in before}


def _unclear(place: CrampedPlace, phase: Phase, marks: dict[str, int]) -> list[str]:
    """The places that do not say what is wrong, while it is."""
    says, ready = place.redis.disk.says, place.ready()
    ingress, worker, server = (
        process.log()[marks[name] :]
        for name, process in (("ingress", place.ingress), ("worker", place.worker), ("Redis", place.redis))
    )
    if phase.spool_too:
        # Redis, started again, may be there for the moment that it takes to ask it
        asked = ("readyz", ready, NO_ROOM if NO_ROOM in ready else NEITHER)
        wanted = [asked, ("the ingress's log", ingress, NO_ROOM), ("Redis's log", server, ENDED)]
    elif phase.fsync == "always":
        wanted = [("readyz", ready, "wait in the spool"), ("Redis's log", server, ENDED)]
    else:
        wanted = [("readyz", ready, says), ("doctor", place.doctor(), says)]
        wanted += [("the ingress's log", ingress, says), ("the worker's log", worker, says)]
    return [f"{where} does not say {words!r}" for where, text, words in wanted if words not in text]


def _sweep(place: CrampedPlace) -> str:
    """Returns what it printed last: how many records no event had announced."""
    done = place.command("reconcile")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="what the sweep found is done")
    return done.stdout.strip().splitlines()[-1].strip()
