from __future__ import annotations

from sync_worker.domain.intent import agreed_by_making
from sync_worker.domain.merge import Baseline


def test_what_the_new_record_holds_was_agreed_as_it_was_sent() -> None:
    kept = {"name": "Ромашка", "phones": ["+79161234567"]}

    agreed = agreed_by_making(kept, {"name": "РОМАШКА", "phones": ["+7 916 123-45-67"]})

    assert agreed == Baseline(bitrix24=kept, onec=kept)


def test_what_it_does_not_hold_yet_was_not_agreed() -> None:
    sent = {"name": "Ромашка", "inn": "7707083893", "addresses": [{"kind": "legal"}], "comment": None, "kind": "x"}

    agreed = agreed_by_making(sent, {"name": "Ромашка", "inn": None, "addresses": [], "comment": None})

    assert agreed.onec == {"name": "Ромашка", "comment": None}


def test_what_was_not_sent_was_not_agreed() -> None:
    assert agreed_by_making({"name": "Ромашка"}, {"name": "Ромашка", "comment": ""}).onec == {"name": "Ромашка"}
