"""A disk that can be filled: a file system of a few MB that only the processes on it see.

Where the kernel lets nobody mount (a container without the right to), a limit on the size of files takes its place: a
write beyond it fails as one on a full disk does, only with another error number. Neither is ever left out.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

SIZE_MB = 64  # some 20 kB of the append-only file go to each new contact
_CHUNK = b"\0" * 4096
_LOG_BYTES = 128 * 1024  # which the limit leaves to logs, since it knows no disks
_MOUNT = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && echo mounted && exec cat'  # until its stdin is closed
_AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")


class Disk(Protocol):
    """`says`: the system's words for a write that it refuses."""

    name: str
    says: str

    def command(self, command: Sequence[str]) -> list[str]:
        """The command as one that runs on this disk."""

    def fill(self, *pids: int, logs: Sequence[Path] = ()) -> None:
        """Leave no room to these processes, nor to those that start afterwards; their `logs` are on another disk."""

    def free(self, *pids: int) -> None:
        """Give the room back."""


class SmallFileSystem:
    """A tmpfs in a mount namespace of its own, which ends with us."""

    says = "No space left on device"

    def __init__(self, folder: Path, keeper: subprocess.Popen[bytes]) -> None:
        self.name = f"a file system of {SIZE_MB} MB"
        self._keeper = keeper
        self._ballast = Path(f"/proc/{keeper.pid}/root{folder}/ballast")

    def command(self, command: Sequence[str]) -> list[str]:
        user = ["--user", "--preserve-credentials"] if _AS_ROOT else []
        return ["nsenter", f"--target={self._keeper.pid}", "--mount", *user, "--", *command]

    def fill(self, *_pids: int, logs: Sequence[Path] = ()) -> None:
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(_CHUNK)

    def free(self, *_pids: int) -> None:
        self._ballast.unlink()


class FileLimit:
    """RLIMIT_FSIZE: no file may grow any further."""

    name = "a limit on the size of files"
    says = "File too large"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limit: int | None = None

    def command(self, command: Sequence[str]) -> list[str]:
        return list(command) if self._limit is None else ["prlimit", f"--fsize={self._limit}:unlimited", *command]

    def fill(self, *pids: int, logs: Sequence[Path] = ()) -> None:
        here = max((file.stat().st_size for file in self._folder.rglob("*") if file.is_file()), default=0)
        self._limit = max([here, *(log.stat().st_size + _LOG_BYTES for log in logs)])
        self._let(pids, self._limit)

    def free(self, *pids: int) -> None:
        self._limit = None
        self._let(pids, resource.RLIM_INFINITY)

    def _let(self, pids: Iterable[int], size: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # it ended at its last write, and starts with the limit
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path, *, may_mount: bool = True) -> Iterator[Disk]:
    """A disk at `folder`; what is on it is gone afterwards. `may_mount` False: as where the kernel forbids it."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        ["unshare", "--mount", *_AS_ROOT, "--propagation=private", "sh", "-c", _MOUNT, "sh", str(SIZE_MB), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with keeper:
        assert keeper.stdout is not None
        is_mounted = keeper.stdout.readline() == b"mounted\n"
        yield SmallFileSystem(folder, keeper) if is_mounted and may_mount else FileLimit(folder)
