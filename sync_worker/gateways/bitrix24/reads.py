"""Reads of one record by its id. Several that leave together become one list by ids."""

from __future__ import annotations

from sync_worker.domain.identity import RecordType
from sync_worker.gateways.bitrix24.commands import ById, Command

# `*` has neither user fields nor phones and e-mails (reference 3.1); what a list leaves out beside them nobody reads
_SELECT = {
    RecordType.CONTACT: ("*", "UF_*", "PHONE", "EMAIL"),
    RecordType.COMPANY: ("*", "UF_*", "PHONE", "EMAIL"),
    RecordType.LEAD: ("*", "UF_*", "PHONE", "EMAIL"),
    RecordType.DEAL: ("*", "UF_*"),
    RecordType.REQUISITE: ("*",),
}


def read_by_id(type_: RecordType, id_: str) -> Command:
    """crm.<type>.get, or a row of crm.<type>.list."""
    by_id = ById(id=id_, list_method=f"crm.{type_}.list", params=(("select", _SELECT[type_]),))
    return Command(method=f"crm.{type_}.get", params={"id": id_}, by_id=by_id)
