"""Renews what this process holds for as long as the process lives, so that a killed one lets go by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sync_worker.errors import StoreUnavailable

logger = logging.getLogger(__name__)

Renew = Callable[[], bool]
"""Renews one lease. False where it is lost; StoreUnavailable where that cannot be told now."""


class Keeper:
    """One daemon thread for all leases it is given. It starts with the first and ends when there is none."""

    def __init__(self, *, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._guard = threading.Lock()
        self._leases: dict[object, tuple[str, Renew]] = {}
        self._thread: threading.Thread | None = None

    def keep(self, name: str, renew: Renew) -> object:
        """Renew from now on; `name` is for the log. Returns what `drop` wants."""
        lease = object()
        with self._guard:
            self._leases[lease] = (name, renew)
            # a thread does not live on in a forked child: there it is started anew
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
                self._thread.start()
        return lease

    def drop(self, lease: object) -> None:
        """Renew it no longer."""
        with self._guard:
            self._leases.pop(lease, None)

    def _run(self) -> None:
        while True:
            time.sleep(self._every_seconds)
            with self._guard:
                if not self._leases:
                    self._thread = None
                    return
                leases = list(self._leases.items())
            for lease, (name, renew) in leases:
                self._renew(lease, name, renew)

    def _renew(self, lease: object, name: str, renew: Renew) -> None:
        try:
            is_kept = renew()
        except StoreUnavailable:
            logger.warning("%s could not be renewed; it is tried again", name)
            return  # the lease may outlive Redis's absence
        except Exception:
            logger.exception("%s could not be renewed", name)  # this thread serves others too
            is_kept = False
        if is_kept:
            return
        with self._guard:
            was_held = self._leases.pop(lease, None) is not None
        if was_held:  # else it was let go while it was being renewed
            logger.error("%s was lost while it was held: its lease ran out", name)
