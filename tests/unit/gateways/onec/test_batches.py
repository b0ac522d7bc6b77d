from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync_worker.gateways.onec.batches import LONGEST_TRACES, Pace, Parcel, Seat, first_to_leave, join_traces

numbers = st.integers(1, 6)
parcels = st.builds(lambda one, ref: parcel(one, ref=ref), numbers, st.one_of(st.none(), st.sampled_from("abc")))


def parcel(number: int, **fields: Any) -> Parcel:
    return Parcel(item={"external_id": f"b24:company:{number}", **fields}, trace=None)


def leave(line: list[Parcel], *, room: int = 100, companies: dict[int, int] | None = None) -> list[Parcel]:
    named = {f"b24:company:{number}": company for number, company in (companies or {}).items()}
    return [seat.item for seat in first_to_leave([Seat(one) for one in line], room=room, companies=named)]


def test_as_many_leave_as_there_is_room_for() -> None:
    line = [parcel(number) for number in range(1, 6)]

    assert leave(line, room=3) == line[:3]
    assert leave(line) == line


def test_who_shares_a_key_with_somebody_before_stays_behind() -> None:
    line = [parcel(1), parcel(1, ref="a"), parcel(2, ref="a"), parcel(3)]

    assert leave(line) == [line[0], line[3]]


def test_who_was_lost_in_company_travels_in_a_smaller_one() -> None:
    line = [parcel(number) for number in range(1, 6)]

    assert leave(line, companies={1: 1}) == line[:1]
    assert leave(line, companies={1: 2}) == line[:2]
    assert leave(line, companies={3: 1}) == [line[0], line[1], line[3], line[4]]
    assert leave(line, companies={2: 2}) == line[:2]


@given(line=st.lists(parcels, min_size=1, max_size=12), room=numbers, companies=st.dictionaries(numbers, numbers))
def test_the_first_always_leaves_and_no_limit_is_passed(
    line: list[Parcel], room: int, companies: dict[int, int]
) -> None:
    left = leave(line, room=room, companies=companies)

    assert left[0] is line[0]
    assert len(left) <= room
    keys = [key for one in left for key in one.keys()]  # noqa: SIM118  # not a mapping
    assert len(keys) == len(set(keys))
    for one in left:
        assert len(left) <= companies.get(int(one.external_id.rpartition(":")[2]), room)


@given(line=st.lists(parcels, min_size=1, max_size=12), room=numbers)
def test_nobody_overtakes_another_item_of_his_object(line: list[Parcel], room: int) -> None:
    order: list[Parcel] = []
    waiting = list(line)
    while waiting:
        left = leave(waiting, room=room)
        order += left
        waiting = [one for one in waiting if not any(one is gone for gone in left)]

    for later, one in enumerate(line):
        for earlier in line[:later]:
            if one.keys() & earlier.keys():
                places = [next(place for place, each in enumerate(order) if each is x) for x in (earlier, one)]
                assert places == sorted(places)


def test_traces_are_joined_once_each_up_to_a_limit() -> None:
    assert join_traces([None, None]) is None
    assert join_traces(["a", None, "b", "a"]) == "a,b"

    many = join_traces([f"{number:032}" for number in range(100)])

    assert many is not None
    assert many.endswith(",+70")
    assert len(many) <= LONGEST_TRACES + 4


def test_one_slow_call_moves_the_pace_little_and_many_move_it() -> None:
    pace = Pace()
    for _ in range(20):
        pace.note(10, 1.0)
    usual = pace.items_in(30)
    pace.note(1, 35.0)
    after_one = pace.items_in(30)
    for _ in range(20):
        pace.note(10, 50.0)

    assert 290 <= usual <= 301
    assert after_one > usual / 3
    assert pace.items_in(30) == 6
    assert pace.items_in(1) == 1


def test_a_lost_post_says_only_that_it_was_too_slow() -> None:
    pace = Pace()
    before = pace.items_in(30)
    pace.note(10, 0.01, is_lost=True)

    assert pace.items_in(30) == before
    pace.note(60, 120.0, is_lost=True)
    assert pace.items_in(30) < before
