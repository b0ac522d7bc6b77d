"""Why a card may not stand at a stage: an unfilled field, a stage that its pipeline has not, or something else.

The stages are asked for only where the portal did not set one.
"""

from __future__ import annotations

from sync_worker.errors import Misconfigured, RemoteRejected, RequiredFieldEmpty, StageRefused, StageUnknown
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.problems import is_required_field

OLD_INVOICE_STATUSES = "INVOICE_STATUS"
NO_RIGHT_TO_STAGE = "-"  # crm.item.update's code for it (reference 3.11)


def deal_stages(category: int) -> str:
    """The directory of a deal pipeline's stages; the main pipeline is 0."""
    return f"DEAL_STAGE_{category}" if category else "DEAL_STAGE"


def invoice_stages(category: int) -> str:
    return f"SMART_INVOICE_STAGE_{category}"


def stage_refusal(
    client: Bitrix24Client, refusal: RemoteRejected, *, stage: str, directory: str
) -> StageRefused | None:
    """Why a write of `stage` was refused; None where the stage may have nothing to do with it.

    `directory` has the stages that the card may have. What the portal says of a stage that is none of them differs
    from method to method and is not documented, so the list is what counts.
    """
    if is_required_field(refusal):
        return RequiredFieldEmpty(f"{refusal} (stage {stage})", field=refusal.field)
    if refusal.code == NO_RIGHT_TO_STAGE:
        return StageRefused(f"{refusal} (stage {stage})")
    return _unknown_stage(client, stage, directory)


def check_stage(client: Bitrix24Client, *, after: str, wanted: str, directory: str) -> None:
    """Errors: StageUnknown where the card does not stand at a stage that its pipeline has not: it was ignored."""
    if after != wanted and (error := _unknown_stage(client, wanted, directory)):
        raise error


def _unknown_stage(client: Bitrix24Client, stage: str, directory: str) -> StageUnknown | None:
    """None where the portal has this stage, or shows no list of them."""
    try:
        rows = client.run(Command(method="crm.status.list", params={"filter": {"ENTITY_ID": directory}})) or []
    except (Misconfigured, RemoteRejected):
        return None
    known = [str(row["STATUS_ID"]) for row in rows if row.get("ENTITY_ID") == directory]
    if not known or stage in known:
        return None
    return StageUnknown(f"the portal has no stage {stage} in {directory}; it has: {', '.join(known)}")
