from __future__ import annotations

from typing import Any

import pytest
import redis

from sync_worker.domain.letter import Act, Deed
from sync_worker.store.audit import RedisAudit
from tests.contract.store_worlds import CONTACT, STORES, at
from tests.fakes.stores import MemoryAudit


@pytest.fixture(params=STORES)
def audit(request: pytest.FixtureRequest) -> Any:
    return MemoryAudit() if request.param == "memory" else RedisAudit(client=request.getfixturevalue("client"))


def deed(number: int) -> Deed:
    return Deed(at=at(number), by=f"operator {number}", act=Act.REPLAYED)


def test_deed_comes_back_as_it_was_noted(audit: Any) -> None:
    whole = Deed(
        at=at(0.000001),
        by="анна@host",
        act=Act.DISCARDED,
        letter="0kz8q4w0000abcd",
        entity="contact",
        record=CONTACT,
        cause="field_conflict",
        note="дубль, половина \ud83d знака",
    )

    audit.note(whole)
    audit.note(deed(1))

    assert audit.page() == ([deed(1), whole], None)


def test_nothing_was_done_yet(audit: Any) -> None:
    assert audit.page() == ([], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_are_newest_first(audit: Any, limit: int) -> None:
    for number in range(7):
        audit.note(deed(number))

    found, cursor = audit.page(limit=limit)
    audit.note(deed(7))  # while somebody turns the pages
    while cursor is not None:
        more, cursor = audit.page(after=cursor, limit=limit)
        assert 0 < len(more) <= limit
        found += more

    assert found == [deed(number) for number in reversed(range(7))]


def test_cursor_that_is_none_of_ours_is_refused(audit: Any) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        audit.page(after="(-")


def test_audit_is_a_stream_that_never_expires(client: redis.Redis) -> None:
    RedisAudit(client).note(deed(1))

    assert client.xlen("sync:audit") == 1
    assert client.ttl("sync:audit") == -1


def test_note_whose_answer_was_lost_is_made_once(client: redis.Redis) -> None:
    """redis-py sends a command again when the connection breaks before its answer."""
    audit = RedisAudit(client)
    note = audit._note
    audit._note = lambda **arguments: (note(**arguments), note(**arguments))

    audit.note(deed(1))
    audit.note(deed(1))

    assert audit.page() == ([deed(1), deed(1)], None)
