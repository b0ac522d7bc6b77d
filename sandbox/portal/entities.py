"""The objects of the CRM and their fields: the portal's data dictionary.

Source: *.fields and *.get of the REST documentation, read 2026-08. Stored names are those of the classic methods; for
smart invoices, which have none, they are the upper-case names that crm.item.fields gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.portal.fields import Field, computed, flag, hidden, listing, of, text

MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")
SMART_INVOICE_CATEGORY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """One kind of object."""

    type_id: int  # entityTypeId
    name: str  # as in enum.ownertype, timeline and user fields
    letter: str  # ownerType of product rows
    event: str  # the middle of its event codes
    fields: tuple[Field, ...]
    classic: str | None = None  # the middle of its classic methods
    stage_field: str | None = None
    semantic_field: str | None = None
    stages: str = ""  # directory of its stages; pipelines append _{id}
    has_multifields: bool = False
    has_rows: bool = False
    item_nulls: tuple[str, ...] = ()  # keys that crm.item.* prints and never fills
    default_title: str = ""
    by_name: dict[str, Field] = field(init=False)
    by_item: dict[str, Field] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {one.name: one for one in self.fields})
        object.__setattr__(self, "by_item", {one.item: one for one in self.fields if one.item})

    @property
    def user_field_entity(self) -> str:
        return f"CRM_{self.name}"

    def directory(self, category: int) -> str:
        """Name the directory that holds the stages of a pipeline."""
        if self.type_id == 31:
            return f"{self.stages}_{category}"
        return f"{self.stages}_{category}" if category else self.stages


def _stamps(*, moved: bool = False) -> tuple[Field, ...]:
    stamps = (
        computed("user", "CREATED_BY_ID", item="createdBy"),
        computed("user", "MODIFY_BY_ID", item="updatedBy"),
        computed("datetime", "DATE_CREATE", item="createdTime"),
        computed("datetime", "DATE_MODIFY", item="updatedTime"),
        computed("datetime", "LAST_ACTIVITY_TIME"),
        computed("user", "LAST_ACTIVITY_BY"),
    )
    return (
        (*stamps, computed("user", "MOVED_BY_ID", item="movedBy"), computed("datetime", "MOVED_TIME"))
        if moved
        else stamps
    )


def _address(prefix: str = "ADDRESS", *, country_code: bool) -> tuple[Field, ...]:
    parts = ("", "_2", "_CITY", "_POSTAL_CODE", "_REGION", "_PROVINCE", "_COUNTRY")
    return (
        *(hidden(f"{prefix}{part}") for part in parts),
        hidden(f"{prefix}_COUNTRY_CODE", shown=country_code),
        hidden(f"{prefix}_LOC_ADDR_ID", kind="integer"),
    )


_UTM = tuple(text(f"UTM_{part}") for part in ("SOURCE", "MEDIUM", "CAMPAIGN", "CONTENT", "TERM"))
_ORIGIN = (text("ORIGINATOR_ID"), text("ORIGIN_ID"))
_SOURCE = (listing("SOURCE_ID", "SOURCE"), text("SOURCE_DESCRIPTION"))
_HAS = tuple(flag(f"HAS_{kind}", read_only=True) for kind in ("PHONE", "EMAIL", "IMOL"))
_PERSON = (
    listing("HONORIFIC", "HONORIFIC"),
    text("NAME"),
    text("SECOND_NAME"),
    text("LAST_NAME"),
    text("POST"),
)
_CONTACT_IDS = of("crm_contact", "CONTACT_IDS", multiple=True, shown=False)
_WITH_FM_NULLS = ("shortName", "address", "login", "skype", "icq", "searchContent")


def _observed(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    observers = of("user", "OBSERVERS", multiple=True, shown=False, described=False)
    return (*fields, observers)


CONTACT = Entity(
    type_id=3,
    name="CONTACT",
    letter="C",
    event="CONTACT",
    classic="contact",
    has_multifields=True,
    item_nulls=_WITH_FM_NULLS,
    fields=_observed(
        (
            computed("integer", "ID"),
            *_PERSON,
            of("file", "PHOTO"),
            of("date", "BIRTHDATE"),
            listing("TYPE_ID", "CONTACT_TYPE"),
            *_SOURCE,
            *_address(country_code=False),
            text("COMMENTS"),
            flag("OPENED", "Y"),
            flag("EXPORT", "Y"),
            *_HAS,
            of("user", "ASSIGNED_BY_ID"),
            of("crm_company", "COMPANY_ID", item_blank=0),
            of("crm_company", "COMPANY_IDS", multiple=True, shown=False),
            computed("crm_lead", "LEAD_ID"),
            *_ORIGIN,
            text("ORIGIN_VERSION"),
            hidden("FACE_ID", kind="integer", read_only=True, described=False),
            *_UTM,
            *_stamps(),
        )
    ),
)

COMPANY = Entity(
    type_id=4,
    name="COMPANY",
    letter="CO",
    event="COMPANY",
    classic="company",
    has_multifields=True,
    item_nulls=_WITH_FM_NULLS,
    default_title="Компания",
    fields=_observed(
        (
            computed("integer", "ID"),
            text("TITLE", required=True),
            listing("COMPANY_TYPE", "COMPANY_TYPE", item="typeId"),
            of("file", "LOGO"),
            *_address(country_code=True),
            hidden("ADDRESS_LEGAL"),
            *_address("REG_ADDRESS", country_code=True),
            text("BANKING_DETAILS"),
            listing("INDUSTRY", "INDUSTRY"),
            listing("EMPLOYEES", "EMPLOYEES"),
            of("crm_currency", "CURRENCY_ID", default="RUB"),
            of("double", "REVENUE", default=0.0, whole=True),
            flag("OPENED", "Y"),
            text("COMMENTS"),
            *_HAS,
            flag("IS_MY_COMPANY"),
            of("user", "ASSIGNED_BY_ID"),
            of("crm_contact", "CONTACT_ID", item="contactIds", multiple=True, shown=False),
            computed("crm_lead", "LEAD_ID"),
            *_ORIGIN,
            text("ORIGIN_VERSION"),
            *_UTM,
            hidden("LAST_COMMUNICATION_TIME", read_only=True),
            *_stamps(),
        )
    ),
)

LEAD = Entity(
    type_id=1,
    name="LEAD",
    letter="L",
    event="LEAD",
    classic="lead",
    stage_field="STATUS_ID",
    semantic_field="STATUS_SEMANTIC_ID",
    stages="STATUS",
    has_multifields=True,
    has_rows=True,
    item_nulls=(*_WITH_FM_NULLS, "dateCreateShort", "dateModifyShort", "isConvert", "productId"),
    default_title="Лид",
    fields=_observed(
        (
            computed("integer", "ID"),
            text("TITLE"),
            *_PERSON,
            of("date", "BIRTHDATE", blank=""),
            text("COMPANY_TITLE"),
            *_SOURCE,
            listing("STATUS_ID", "STATUS", item="stageId"),
            text("STATUS_DESCRIPTION"),
            computed("string", "STATUS_SEMANTIC_ID", item="stageSemanticId"),
            *_address(country_code=True),
            of("crm_currency", "CURRENCY_ID", default="RUB"),
            of("double", "OPPORTUNITY", default=0.0),
            flag("IS_MANUAL_OPPORTUNITY"),
            flag("OPENED", "Y"),
            text("COMMENTS"),
            *_HAS,
            of("user", "ASSIGNED_BY_ID"),
            of("crm_company", "COMPANY_ID", item_blank=0),
            of("crm_contact", "CONTACT_ID", item_blank=0),
            _CONTACT_IDS,
            flag("IS_RETURN_CUSTOMER", read_only=True),
            computed("datetime", "DATE_CLOSED", blank=""),
            Field(name="WEBFORM_ID", kind="integer", item="webformId", item_blank=0, shown=False, described=False),
            *_ORIGIN,
            *_UTM,
            *_stamps(moved=True),
        )
    ),
)

DEAL = Entity(
    type_id=2,
    name="DEAL",
    letter="D",
    event="DEAL",
    classic="deal",
    stage_field="STAGE_ID",
    semantic_field="STAGE_SEMANTIC_ID",
    stages="DEAL_STAGE",
    has_rows=True,
    item_nulls=(
        *("dateCreateShort", "dateModifyShort", "begindateShort", "closedateShort", "eventDate", "eventDateShort"),
        *("eventId", "eventDescription", "searchContent", "orderStage", "isWork", "isWon", "isLose", "productId"),
        *("receivedAmount", "lostAmount", "hasProducts"),
    ),
    default_title="Сделка",
    fields=_observed(
        (
            computed("integer", "ID"),
            text("TITLE"),
            listing("TYPE_ID", "DEAL_TYPE", default="SALE"),
            of("crm_category", "CATEGORY_ID", immutable=True),
            listing("STAGE_ID", "DEAL_STAGE"),
            computed("string", "STAGE_SEMANTIC_ID"),
            flag("IS_NEW", read_only=True),
            flag("IS_RECURRING"),
            flag("IS_RETURN_CUSTOMER", read_only=True),
            flag("IS_REPEATED_APPROACH", read_only=True),
            of("integer", "PROBABILITY"),
            of("crm_currency", "CURRENCY_ID", default="RUB"),
            of("double", "OPPORTUNITY", default=0.0),
            flag("IS_MANUAL_OPPORTUNITY"),
            of("double", "TAX_VALUE", default=0.0),
            of("crm_company", "COMPANY_ID", item_blank=0),
            of("crm_contact", "CONTACT_ID", item_blank=0),
            _CONTACT_IDS,
            of("crm_quote", "QUOTE_ID"),
            of("date", "BEGINDATE"),
            of("date", "CLOSEDATE"),
            flag("OPENED", "Y"),
            flag("CLOSED", read_only=True),
            text("COMMENTS"),
            of("user", "ASSIGNED_BY_ID"),
            *_SOURCE,
            of("crm_lead", "LEAD_ID"),
            text("ADDITIONAL_INFO"),
            of("location", "LOCATION_ID"),
            Field(name="WEBFORM_ID", kind="integer", item="webformId", item_blank=0, shown=False, described=False),
            *_ORIGIN,
            *_UTM,
            *_stamps(moved=True),
        )
    ),
)

SMART_INVOICE = Entity(
    type_id=31,
    name="SMART_INVOICE",
    letter="SI",
    event="DYNAMICITEM",
    stage_field="STAGE_ID",
    stages="SMART_INVOICE_STAGE",
    has_rows=True,
    default_title="Счёт",
    fields=_observed(
        (
            computed("integer", "ID"),
            text("TITLE"),
            text("XML_ID"),
            computed("string", "ACCOUNT_NUMBER"),
            computed("datetime", "CREATED_TIME"),
            computed("datetime", "UPDATED_TIME"),
            computed("user", "CREATED_BY"),
            computed("user", "UPDATED_BY"),
            of("user", "ASSIGNED_BY_ID"),
            of("boolean", "OPENED", default="Y"),
            of("integer", "WEBFORM_ID"),
            of("date", "BEGINDATE"),
            of("date", "CLOSEDATE"),
            of("crm_company", "COMPANY_ID", item_blank=0),
            of("crm_contact", "CONTACT_ID", item_blank=0),
            _CONTACT_IDS,
            of("crm_category", "CATEGORY_ID"),
            computed("datetime", "MOVED_TIME"),
            computed("user", "MOVED_BY"),
            listing("STAGE_ID", "SMART_INVOICE_STAGE"),
            computed("crm_status", "PREVIOUS_STAGE_ID"),
            *_SOURCE,
            of("crm_currency", "CURRENCY_ID", default="RUB"),
            of("boolean", "IS_MANUAL_OPPORTUNITY", default="N"),
            of("double", "OPPORTUNITY", default=0.0),
            of("double", "TAX_VALUE", default=0.0),
            of("crm_company", "MYCOMPANY_ID"),
            text("COMMENTS"),
            of("location", "LOCATION_ID"),
            computed("user", "LAST_ACTIVITY_BY"),
            computed("datetime", "LAST_ACTIVITY_TIME"),
            of("crm_entity", "PARENT_ID_1"),
            of("crm_entity", "PARENT_ID_2"),
            of("crm_entity", "PARENT_ID_7"),
        )
    ),
)

ENTITIES = (LEAD, DEAL, CONTACT, COMPANY, SMART_INVOICE)
BY_TYPE = {entity.type_id: entity for entity in ENTITIES}
BY_NAME = {entity.name: entity for entity in ENTITIES}
BY_LETTER = {entity.letter: entity for entity in ENTITIES}

_STAMPS = {  # stamp -> field of the classic objects, field of smart invoices
    "created_at": ("DATE_CREATE", "CREATED_TIME"),
    "updated_at": ("DATE_MODIFY", "UPDATED_TIME"),
    "created_by": ("CREATED_BY_ID", "CREATED_BY"),
    "updated_by": ("MODIFY_BY_ID", "UPDATED_BY"),
    "moved_by": ("MOVED_BY_ID", "MOVED_BY"),
}


def stamp(entity: Entity, name: str) -> str:
    """Name the field that keeps this stamp."""
    return _STAMPS[name][entity.type_id == SMART_INVOICE.type_id]
