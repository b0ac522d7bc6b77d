"""Two-way exchange between Bitrix24 and 1C:CRM.

Rooms, and the question each answers:

    contract    what crosses the queue: events, task and queue names
    settings    what the environment and sync.toml say, checked at start
    errors      what happens next when something fails
    domain      pure: identity, values, merge, fingerprints
    entities    pure: what a record is and who owns each field
    sync        the flows; sees the world through ports only
    gateways    how Bitrix24 and 1C are spoken to
    store       what is remembered, all in Redis
    tasks       Celery: one thin task per entity
    bootstrap   what is plugged into what
    cli         the commands

Who may import whom is in tests/unit/test_rooms.py; the words used are in docs/glossary.md.
"""
