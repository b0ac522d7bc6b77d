"""The methods of the REST, a file per family. Each file adds its own to the table."""

from __future__ import annotations

from sandbox.portal.calls import Methods
from sandbox.portal.methods import (
    address,
    bindings,
    classic,
    directories,
    duplicate,
    event,
    invoice,
    item,
    payment,
    productrow,
    requisite,
    system,
    timeline,
    user,
    userfield,
)


def all_methods() -> Methods:
    """Build the table of every method that the portal knows."""
    methods = Methods()
    families = (address, bindings, classic, directories, duplicate, event, invoice, item, productrow, requisite, system)
    for family in (*families, payment, timeline, user, userfield):
        family.register(methods)
    return methods
