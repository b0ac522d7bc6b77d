"""A Bitrix24 portal in memory, over real HTTP: its REST, its limits, its events, its people.

    with Portal(PortalSettings(handler_urls=("http://127.0.0.1:8080/webhooks/bitrix24",))).serve() as served:
        requests.post(f"{served.url}/rest/1/sandbox-secret-of-the-exchange/crm.contact.add", json={...})

Facts and their sources stand in the modules, and so does what the documentation leaves open.
"""

from sandbox.portal.portal import Portal, ServedPortal
from sandbox.portal.settings import PortalSettings

__all__ = ["Portal", "PortalSettings", "ServedPortal"]
