"""A 1C base in a box: the exchange service of the contract over HTTP, what the platform does around it, and its people.

gate        addresses, passwords, sessions, failures of the platform and the web server
service     the contract's paths; upserts, matching, fields, formats: what it does with an item
store       objects in memory; records, changes, cursors: what it keeps and shows of them
bookkeeper  what a person does by hand; pages and control are its screens and the sandbox's own controls
events      by-hand changes as events; outbox posts them, signed, until they are taken
"""

from sandbox.onec.base import Base, ServedBase
from sandbox.onec.settings import BaseSettings

__all__ = ["Base", "BaseSettings", "ServedBase"]
