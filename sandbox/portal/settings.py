"""How one portal differs from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

SECRETS: Mapping[str, int] = MappingProxyType(
    {"sandbox-secret-of-the-exchange": 1, "sandbox-secret-of-a-manager": 2},
)
_RATES = {"standard": (2.0, 50.0), "enterprise": (5.0, 250.0)}  # requests a second, requests at once; [limits.md]


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationSettings:
    """The portal's one local application, and who has authorised it."""

    client_id: str = "local.5a6d0b0c5a6d0b.12345678"
    client_secret: str = "sandbox-secret-of-the-application"  # noqa: S105 (a sandbox's, by name)
    refresh_token: str = "sandbox-refresh-token"  # noqa: S105 (as above); the first one
    user_id: int = 1
    token_seconds: float = 3600.0  # how long an access token lasts, in real seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalSettings:
    """The plan and its limits, who may call, who hears of changes, and how slow the portal is.

    Running time in a batch is charged to the methods of its commands ("nested", as limits.md of 2026-08 has it) or,
    for clients that shall survive a portal that does otherwise, to the method `batch` alone.
    """

    plan: Literal["standard", "enterprise"] = "standard"
    rate_per_second: float | None = None  # None: by plan
    burst: float | None = None  # None: by plan
    operating_limit_seconds: float = 480.0  # running time per method and webhook in ten minutes
    latency_seconds: float = 0.0  # what one command costs the portal; a batch pays it for each of its commands
    request_latency_seconds: float = 0.0  # the network there and back, once a request; no running time
    batch_billing: Literal["nested", "batch"] = "nested"  # whom a batch's running time is charged to
    batch_weight: float = 1.0  # how much of it, where the batch itself is charged
    request_limit_seconds: float = 60.0  # a request that runs longer is cut
    secrets: Mapping[str, int] = field(default_factory=lambda: dict(SECRETS))  # webhook secret -> user id
    handler_urls: tuple[str, ...] = ()  # outgoing webhooks
    application_token: str = "sandbox-application-token"  # noqa: S105 (a sandbox's, by name)
    application: ApplicationSettings = field(default_factory=ApplicationSettings)
    reserves_offline_rows: bool = True  # rest_offline_extended: some plans have it
    member_id: str = "5a6d0b0c5a6d0b0c5a6d0b0c5a6d0b0c"
    wrong_secret_status: Literal[401, 403] = 401  # live portals say 401, the documentation 403
    renamed_to: str = "https://renamed-portal.invalid"  # where a portal that was renamed sends its callers
    event_delay_seconds: float = 0.0
    seed: int = 0
    simple_mode: bool = False  # a portal without leads: a new lead becomes a deal at once
    time_scale: float = 1.0  # portal seconds in a real second, for limits, delays and slowness
    with_user_fields: bool = False  # UF_CRM_1C_ID is there from the start
    required_at_stage: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # stage -> fields (stored names)
    required_from_stage: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # there and at all later ones
    foreign_stage: Literal["refused", "ignored"] = "refused"  # a stage of another pipeline; the documentation is silent

    def __post_init__(self) -> None:
        if self.plan not in _RATES:
            raise ValueError(f"plan is {self.plan!r}, not one of {', '.join(_RATES)}")
        if self.batch_billing not in {"nested", "batch"}:
            raise ValueError(f"batch_billing is {self.batch_billing!r}, not nested or batch")
        if self.foreign_stage not in {"refused", "ignored"}:
            raise ValueError(f"foreign_stage is {self.foreign_stage!r}, not refused or ignored")

    @property
    def leak_per_second(self) -> float:
        return self.rate_per_second if self.rate_per_second is not None else _RATES[self.plan][0]

    @property
    def threshold(self) -> float:
        return self.burst if self.burst is not None else _RATES[self.plan][1]
