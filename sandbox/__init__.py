"""A Bitrix24 portal and a 1C base in a box: real HTTP servers with the limits, shapes and failure habits of the real.

Nothing of `sync_worker` or `ingress` is imported here, so that the sandbox cannot share our misunderstandings.
"""
