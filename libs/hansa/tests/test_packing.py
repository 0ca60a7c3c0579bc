"""Packed lists."""

import pytest
from hansa.packing import PackedListInvalid, chunks, pack, unpack
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=50)))
def test_packed_list_is_read_back(items: list[bytes]) -> None:
    assert unpack(pack(items)) == items


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1), st.integers(min_value=1, max_value=4))
def test_cut_list_is_refused(items: list[bytes], missing: int) -> None:
    packed = pack(items)
    missing = min(missing, len(items[-1]) + 3)
    with pytest.raises(PackedListInvalid):
        unpack(packed[:-missing])


def test_array_with_a_rest_is_refused() -> None:
    assert chunks(b"aabb", 2) == [b"aa", b"bb"]
    with pytest.raises(ValueError, match="multiple"):
        chunks(b"aab", 2)
