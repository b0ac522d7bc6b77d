"""Pure: Bitrix24's shapes <-> our records. One file an entity."""

ONEC_ID_FIELD = "UF_CRM_1C_ID"
"""Where the 1C ref is written on contacts, companies, leads and deals, so that links can be rebuilt."""

ORIGINATOR = "1C"
"""ORIGINATOR_ID of what we create: the portal's own field for "which system it came from"."""
