import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.byte_range import ByteRange, RangeRefusedError, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("lines=1-2", None),
        ("bytes=0-99", ByteRange(0, 99)),
        ("bytes=10-", ByteRange(10, 999)),
        ("bytes=990-2000", ByteRange(990, 999)),
        ("bytes=-10", ByteRange(990, 999)),
        ("bytes=-5000", ByteRange(0, 999)),
        ("bytes= 0-0", ByteRange(0, 0)),
    ],
)
def test_reads_a_range_of_a_file_of_1000_bytes(header, expected):
    assert parse_range(header, size_bytes=1000) == expected


@pytest.mark.parametrize(
    "header",
    [
        "bytes=",
        "bytes=-",
        "bytes=-0",
        "bytes=5-2",
        "bytes=1000-",
        "bytes=0-1,5-6",
        "bytes=a-b",
        "bytes=0-1-2",
        "bytes=" + "0-1," * 5000,
        "bytes=" + "9" * 40 + "-",
    ],
)
def test_refuses_a_range_when_it_is_inverted_outside_or_more_than_one(header):
    with pytest.raises(RangeRefusedError):
        parse_range(header, size_bytes=1000)


def test_refuses_any_suffix_of_an_empty_file():
    with pytest.raises(RangeRefusedError):
        parse_range("bytes=-1", size_bytes=0)


@given(header=st.text(alphabet="bytes=0123456789-, ", max_size=30), size=st.integers(0, 2000))
def test_never_leaves_the_file(header, size):
    try:
        span = parse_range(header, size_bytes=size)
    except RangeRefusedError:
        return
    if span is not None:
        assert 0 <= span.first <= span.last < size
        assert span.length == span.last - span.first + 1
