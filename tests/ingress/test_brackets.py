from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.brackets import MAX_DEPTH, MAX_FIELDS, parse_brackets

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1)
TREES = st.dictionaries(
    KEYS,
    st.recursive(TEXTS, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=4), max_leaves=20),
    max_size=5,
)


def _flatten(tree: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(tree, str):
        return [(name, tree)]
    return [pair for key, inner in tree.items() for pair in _flatten(inner, f"{name}[{key}]" if name else key)]


def _depth(tree: Any) -> int:
    return 0 if isinstance(tree, str) else 1 + max(map(_depth, tree.values()), default=0)


@given(TREES.filter(lambda tree: _depth(tree) <= MAX_DEPTH))
def test_what_was_nested_is_nested_again(tree: dict[str, Any]) -> None:
    assert parse_brackets(urlencode(_flatten(tree)).encode()) == tree


@given(st.lists(TEXTS, min_size=1, max_size=30))
def test_a_list_becomes_a_mapping_by_index(texts: list[str]) -> None:
    expected = {"a": {str(index): text for index, text in enumerate(texts)}}

    assert parse_brackets(urlencode([("a[]", text) for text in texts]).encode()) == expected
    assert parse_brackets(urlencode([(f"a[{index}]", text) for index, text in enumerate(texts)]).encode()) == expected


@given(st.binary(max_size=300) | st.text("ab[]=&%1+\x00", max_size=80).map(str.encode))
def test_any_bytes_become_a_mapping_of_texts(form: bytes) -> None:
    def only_texts(value: Any) -> bool:
        return isinstance(value, str) or (isinstance(value, dict) and all(map(only_texts, value.values())))

    assert only_texts(parse_brackets(form))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (b"", {}),
        (b"a", {"a": ""}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a=1&a[b]=2", {"a": {"b": "2"}}),
        (b"a[b]=2&a=1", {"a": "1"}),
        (b"a[b=1", {"a[b": "1"}),
        (b"a[b]c=1", {"a[b]c": "1"}),
        (b"[a]=1", {"[a]": "1"}),
        (b"a[][b]=1&a[][b]=2", {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
        (b"a[1]=x&a[]=y", {"a": {"1": "x", "2": "y"}}),
        (b"a%5Bb%5D=%D0%AF+1", {"a": {"b": "Я 1"}}),
        (b"a=%FF", {"a": "\ufffd"}),
    ],
)
def test_odd_forms(form: bytes, expected: dict[str, Any]) -> None:
    assert parse_brackets(form) == expected


def test_a_name_nested_too_deeply_is_taken_as_it_stands() -> None:
    deep = "a" + "[b]" * 5000

    assert parse_brackets(f"{deep}=1&c[d]=2".encode()) == {deep: "1", "c": {"d": "2"}}


def test_too_many_fields_are_an_error() -> None:
    with pytest.raises(ValueError, match="fields"):
        parse_brackets(b"a=1&" * (MAX_FIELDS + 1))
