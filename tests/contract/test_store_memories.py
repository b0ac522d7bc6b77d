from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.link import Memory
from sync_worker.domain.merge import Baseline
from sync_worker.store.memories import RedisMemories
from sync_worker.store.memory_codec import pack_memory, unpack_memory
from tests.contract.store_worlds import COMPANY, CONTACT, STORES, UUID
from tests.fakes.stores import MemoryMemories

FIELDS = {
    "name": "ООО «Ромашка»",
    "inn": "7707083893",
    "kpp": None,
    "emails": ["info@romashka.ru"],
    "phones": ["+74951234567", "+79161234567"],
    "addresses": [{"kind": "legal", "postal_code": "125009", "city": "Москва", "street": "ул. Тверская, д. 1"}],
}
MEMORY = Memory(
    baseline=Baseline(bitrix24=FIELDS, onec={**FIELDS, "name": 'Ромашка ООО "', "full_name": "Только в 1С"}),
    sent="0123456789abcdef",
    sequence=17,
    version="AAAAAAABaGk=",
    marks={"order_number": "УТ-000017"},
)


FORM_1_SAMPLE = (
    "01c31153209783f36107a8043db41b29680dcc0d2c8c2d2c8d61418c353c8bf273138b33b21341690e33680d8d8c4d4c"
    "cdcc21216c6806e39218d446a606069648c18737e8804522b8ea8655aa90a03404061c5aea47f539ac808851424fbbc0"
    "22165c8aed0215709b140c2f2c04e523a0bb950ca0feb1b04c4c4a4e494d538284bb3972c03b3a25ba67db0265c01910"
    "ad24b9b0f8c2225d0320303457aaad0500"
)
"""MEMORY as form 1."""


@pytest.fixture(params=STORES)
def memories(request: pytest.FixtureRequest) -> Any:
    return MemoryMemories() if request.param == "memory" else RedisMemories(client=request.getfixturevalue("client"))


def test_memory_comes_back_as_it_was(memories: Any) -> None:
    memories.save(EntityKind.CONTACT, CONTACT, MEMORY)

    assert memories.get(EntityKind.CONTACT, CONTACT) == MEMORY


def test_nothing_remembered_is_an_empty_memory(memories: Any) -> None:
    assert memories.get(EntityKind.CONTACT, CONTACT) == Memory()


def test_each_entity_and_record_has_its_own(memories: Any) -> None:
    order = onec_ref(RecordType.ORDER, UUID)
    deal = bitrix24_ref(RecordType.DEAL, 42)
    kept = {
        (EntityKind.CONTACT, CONTACT): Memory(sent="a"),
        (EntityKind.CONTACT, COMPANY): Memory(sent="b"),
        (EntityKind.DEAL, deal): Memory(sent="c"),
        (EntityKind.STATUS, order): Memory(sequence=3),
    }

    for (entity, ref), memory in kept.items():
        memories.save(entity, ref, memory)

    assert {key: memories.get(*key) for key in kept} == kept
    assert memories.get(EntityKind.STATUS, deal) == Memory()


def test_later_memory_takes_the_place_of_the_earlier(memories: Any) -> None:
    memories.save(EntityKind.CONTACT, CONTACT, MEMORY)

    memories.save(EntityKind.CONTACT, CONTACT, Memory())

    assert memories.get(EntityKind.CONTACT, CONTACT) == Memory()


texts = st.text(st.characters(), max_size=20)  # all of Unicode, halves of characters too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
# few names and few values, so that the halves often agree, differ and lack the same fields
halves = st.dictionaries(
    st.sampled_from(["name", "inn", "phones", "addresses", "b", "x"]),
    st.sampled_from([None, "", [], 1, 1.0, True, 0, False, "x", {"kind": "legal"}]) | values,
)
any_memory = st.builds(
    Memory,
    baseline=st.none() | st.builds(Baseline, bitrix24=halves, onec=halves),
    sent=st.none() | texts,
    sequence=st.integers(min_value=0),
    version=st.none() | texts,
    marks=st.dictionaries(texts, texts, max_size=3),
)


@given(any_memory)
def test_packing_loses_nothing(memory: Memory) -> None:
    unpacked = unpack_memory(pack_memory(memory))

    assert unpacked == memory
    assert repr(_sorted(unpacked.baseline)) == repr(_sorted(memory.baseline))  # repr: 1, 1.0 and True are equal


def _sorted(value: Any) -> Any:
    if isinstance(value, Baseline):
        return _sorted(value.bitrix24), _sorted(value.onec)
    if isinstance(value, dict):
        return sorted(((name, _sorted(item)) for name, item in value.items()), key=repr)
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_half_that_agrees_costs_next_to_nothing() -> None:
    agreeing = Memory(baseline=Baseline(bitrix24=FIELDS, onec=dict(FIELDS)))
    one_sided = Memory(baseline=Baseline(bitrix24=FIELDS, onec={}))

    assert len(pack_memory(agreeing)) <= len(pack_memory(one_sided))


def test_memory_of_a_later_form_is_not_misread() -> None:
    with pytest.raises(ValueError, match="unknown form"):
        unpack_memory(b"\x02" + pack_memory(MEMORY)[1:])


def test_form_1_is_read_for_ever() -> None:
    """Packed by the first release. What lies in somebody's Redis must stay readable: the dictionary must not change."""
    packed = bytes.fromhex(FORM_1_SAMPLE)

    assert unpack_memory(packed) == MEMORY
