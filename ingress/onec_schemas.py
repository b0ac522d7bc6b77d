"""The contract's events as marshmallow schemas, to the letter of their formats. They are published in /openapi.json.

Source: contracts/onec-exchange.openapi.yaml, components EventHead, Counterparty, Invoice, OrderStatus, OrderState.
Unknown fields are ignored there, so a newer base can send more.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

MAX_SEQUENCE = 2**63 - 1


class Pattern(validate.Regexp):
    """The whole text must match: Python's `$` would let a line feed at the end pass."""

    def __call__(self, value: Any) -> Any:
        if not self.regex.fullmatch(value):
            raise ValidationError(self.error or "Does not have the form that the contract asks for.")
        return value


class StrictBoolean(fields.Boolean):
    """JSON's true and false only; marshmallow's own takes "yes" and 1 as well."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class StrictInteger(fields.Integer):
    """JSON's integers only, 7.0 among them; in Python `true` is one too, and marshmallow's own takes "7"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


def _is_date(value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise ValidationError("Not a date of the calendar.") from error


def _is_time(value: str) -> None:
    try:
        datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise ValidationError("Not a time of the calendar and the clock.") from error


_UUID = Pattern(re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"), error="Not a UUID.")
_DATE = Pattern(re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), error="Not a date such as 2026-03-31.")
_TIME = Pattern(
    re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"),
    error="Not an RFC 3339 time with an offset.",
)
_DECIMAL = Pattern(re.compile(r"^-?[0-9]+(\.[0-9]+)?$"), error="Not a decimal string.")
_EXTERNAL_ID = Pattern(re.compile(r"^b24:(contact|company|lead|deal):[1-9][0-9]*$"), error="Not an external id.")
_CURRENCY = Pattern(re.compile(r"^[A-Z]{3}$"), error="Not a currency code.")
_INN = Pattern(re.compile(r"^([0-9]{10}|[0-9]{12})$"), error="Not an ИНН.")
_KPP = Pattern(re.compile(r"^[0-9]{4}[0-9A-Z]{2}[0-9]{3}$"), error="Not a КПП.")
_OGRN = Pattern(re.compile(r"^([0-9]{13}|[0-9]{15})$"), error="Not an ОГРН.")


def _text(*, required: bool = False, null: bool = False, **kwargs: Any) -> fields.String:
    return fields.String(required=required, allow_none=null, **kwargs)


def _uuid(*, required: bool = False, null: bool = False) -> fields.String:
    return _text(required=required, null=null, validate=_UUID, metadata={"format": "uuid"})


def _day(*, required: bool = False, null: bool = False) -> fields.String:
    return _text(required=required, null=null, validate=[_DATE, _is_date], metadata={"format": "date"})


def _decimal(*, required: bool = False) -> fields.String:
    return _text(required=required, validate=_DECIMAL)


def _choice(*values: str, required: bool = False) -> fields.String:
    return _text(required=required, validate=validate.OneOf(values))


class _Lenient(Schema):
    class Meta:
        unknown = EXCLUDE


class EventHeadSchema(_Lenient):
    id = _text(required=True, validate=validate.Length(min=1, max=200))
    type = _text(required=True)
    occurred_at = _text(required=True, validate=[_TIME, _is_time], metadata={"format": "date-time"})
    ref = _uuid(required=True)
    version = _text(required=True)
    sequence = StrictInteger(required=True, validate=validate.Range(min=1, max=MAX_SEQUENCE))
    external_id = _text(required=True, null=True, validate=_EXTERNAL_ID)


class PersonSchema(_Lenient):
    email = _text(null=True)
    name = _text(null=True)


class EmailSchema(_Lenient):
    value = fields.Email(required=True)
    kind = _choice("work", "home", "other")


class PhoneSchema(_Lenient):
    value = _text(required=True)
    kind = _choice("work", "mobile", "home", "fax", "other")


class AddressSchema(_Lenient):
    kind = _choice("legal", "actual", "postal", required=True)
    text = _text()
    postal_code = _text()
    country = _text()
    region = _text()
    city = _text()
    street = _text()
    unit = _text()


class CounterpartySchema(_Lenient):
    kind = _choice("company", "sole_trader", "person")
    name = _text(validate=validate.Length(max=150))
    full_name = _text(null=True)
    inn = _text(null=True, validate=_INN)
    kpp = _text(null=True, validate=_KPP)
    ogrn = _text(null=True, validate=_OGRN)
    emails = fields.List(fields.Nested(EmailSchema))
    phones = fields.List(fields.Nested(PhoneSchema))
    addresses = fields.List(fields.Nested(AddressSchema))
    responsible = fields.Nested(PersonSchema, allow_none=True)
    comment = _text(null=True)


class RowSchema(_Lenient):
    product_ref = _uuid(null=True)
    product_external_id = _text(null=True)
    sku = _text(null=True)
    name = _text(required=True)
    unit = _text(null=True)
    quantity = _decimal(required=True)
    price = _decimal(required=True)
    discount = _decimal()
    vat_rate = _text(null=True)
    vat_included = StrictBoolean()
    amount = _decimal()


class InvoiceSchema(_Lenient):
    number = _text(required=True)
    date = _day(required=True)
    pay_before = _day(null=True)
    amount = _decimal(required=True)
    currency = _text(required=True, validate=_CURRENCY)
    status = _choice("issued", "partly_paid", "paid", "cancelled", required=True)
    paid_amount = _decimal()
    order_ref = _uuid(null=True)
    order_external_id = _text(null=True, validate=_EXTERNAL_ID)
    counterparty_ref = _uuid(null=True)
    counterparty_external_id = _text(null=True, validate=_EXTERNAL_ID)
    rows = fields.List(fields.Nested(RowSchema))
    comment = _text(null=True)


class OrderStatusSchema(_Lenient):
    status = _text(required=True)
    order_number = _text(null=True)


class OrderStateSchema(_Lenient):
    number = _text(null=True)
    posted = StrictBoolean(required=True)
    locked = StrictBoolean(required=True)
    status = _text(null=True)
    amount = _decimal()
    currency = _text(validate=_CURRENCY)
    rows = fields.List(fields.Nested(RowSchema))
