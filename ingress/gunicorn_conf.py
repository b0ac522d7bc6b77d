"""gunicorn's settings: `gunicorn -c python:ingress.gunicorn_conf`. It starts the application itself (wsgi_app)."""

from __future__ import annotations

import logging
from typing import Any

import gunicorn.http.wsgi

from ingress.logs import mask_query_secrets
from ingress.settings import load_bind

wsgi_app = "ingress.app:create_app()"
bind = load_bind()

# One process: the metrics are one registry, and waiting for broker and disk is what threads are good at.
worker_class = "gthread"
workers = 1
threads = 16  # ingress.publisher keeps as many broker connections
worker_connections = 512
keepalive = 75  # seconds; longer than a proxy keeps its side, so that it is not us who cut a request
timeout = 30
graceful_timeout = 15  # seconds; a request ends within a few, even with a hung broker

# A line or header cannot grow without end; a body is cut at 1 MiB by the application, and what it left unread is
# drained by gunicorn up to 64 KiB before the connection is closed.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

accesslog = "-"
errorlog = "-"
# %(U)s is the path only: the robot's address carries its secret in the query string, and a Referer may repeat it
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(B)s %(M)sms"
control_socket_disable = True

gunicorn.http.wsgi.SERVER = "ingress"  # the Server header: no versions for strangers


class _MaskingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask_query_secrets(super().format(record))


def worker_exit(_server: Any, worker: Any) -> None:
    """Before the process ends: the drain stops between two batches. A worker that never started has no application."""
    close = getattr(getattr(worker, "wsgi", None), "close", None)
    if close is not None:
        close()


def on_starting(server: Any) -> None:
    """gunicorn itself logs a request line that it could not read, with its query string."""
    for logger in (server.log.error_log, server.log.access_log):
        for handler in logger.handlers:
            old = handler.formatter
            handler.setFormatter(_MaskingFormatter(getattr(old, "_fmt", None), getattr(old, "datefmt", None)))
