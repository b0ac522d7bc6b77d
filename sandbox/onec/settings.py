"""What kind of base stands here: its address, its rights, its limits and its moods."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

CAPABILITIES = ("counterparties", "leads", "orders", "invoices", "statuses", "changes")
ORDER_STATUSES = (
    ("КОбеспечению", "К обеспечению"),
    ("КОтгрузке", "К отгрузке"),
    ("Закрыт", "Закрыт"),
    ("Отменен", "Отменен"),
)
FIRST_STATUS = ORDER_STATUSES[0][0]
SANDBOX_SECRET = "whsec_" + b64encode(b"sandbox-signing-secret-0123456789").decode()


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSettings:
    """One base, as its administrator set it up. Seconds are real ones, scaled down from what a live base needs."""

    publication: str = "base"  # the first segment of every address
    user: str = "Обмен"
    password: str = "sandbox-password"  # noqa: S105 -- opens nothing but this toy
    webhook_url: str | None = None  # the ingress's /webhooks/1c; events wait while there is none
    signing_secret: str = SANDBOX_SECRET
    max_batch: int = 100  # items in one upsert
    max_sessions: int = 4  # licences: sessions alive at once, kept ones and those of a single request together
    capabilities: tuple[str, ...] = CAPABILITIES
    configuration: str = "УправлениеТорговлей"
    reuse_sessions: bool = True  # False: the publication says nothing to `IBSession: start`
    session_idle_seconds: float = 20.0  # sessionMaxAge of the publication
    first_call_seconds: float = 0.0  # what the first call after idle costs; over 30 on a live base
    latency_seconds: float = 0.0  # added to every call
    bom: bool = False  # JSON answers begin with a byte order mark
    event_delay_seconds: float = 0.0  # from the write to the first sending
    retry_seconds: float = 1.0  # from a failed sending to the next
    utc_offset_hours: int = 3  # the base's local time; 1C keeps no zone
    seed: int = 0  # draws which of several real shapes a failure takes
