"""`python -m sync_worker.cli`: the commands where the `sync-worker` script is not on the path."""

from __future__ import annotations

from sync_worker.cli import main

if __name__ == "__main__":
    main()
