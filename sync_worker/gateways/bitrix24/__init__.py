"""The Bitrix24 REST API: one client that every call goes through, and one module an entity."""
