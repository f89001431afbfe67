"""Header blocks: bytes in, bytes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import (
    END,
    VERSION,
    Headers,
    block_of,
    header_line,
    lines,
    name_is_safe,
    name_of,
    value_is_safe,
)

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=12)
raw_values = st.binary(max_size=20).filter(lambda value: b"\r" not in value and b"\n" not in value)


@given(st.lists(st.tuples(names, raw_values), min_size=1, max_size=6))
def test_a_block_leaves_as_it_came(fields: list[tuple[str, bytes]]) -> None:
    """Duplicates, spaces, order and bytes that are not UTF-8 survive lines() and block_of()."""
    block = VERSION + b"".join(name.encode() + b":" + value + END for name, value in fields) + END
    assert block_of([line + END for line in lines(block)]) == block


@given(names, raw_values)
def test_a_value_written_is_the_value_read_byte_for_byte(name: str, raw: bytes) -> None:
    """What is not UTF-8 travels as surrogate escapes."""
    value = raw.decode("utf-8", "surrogateescape").strip()
    block = block_of([header_line(name, value)])
    assert block == VERSION + name.encode() + b": " + value.encode("utf-8", "surrogateescape") + END + END
    assert Headers.parse(block)[name] == value


@given(st.lists(st.sampled_from([b"\r\n", b":", b" ", b"\xff", b"A", b"\r", b"\x00"]), max_size=12).map(b"".join))
def test_parsing_never_fails(block: bytes) -> None:
    """A malformed block has fewer headers, not an exception."""
    headers = Headers.parse(block)
    assert len(headers) == len(list(headers))


def test_names_are_found_in_any_case_and_the_last_value_counts() -> None:
    """One value a name."""
    headers = Headers.parse(b"NATS/1.0\r\nX-A: 1\r\nx-a: 2\r\nno colon\r\nEmpty:\r\n\r\n")
    assert headers["X-a"] == "2"
    assert headers["EMPTY"] == ""
    assert list(headers) == ["x-a", "Empty"]
    assert "X-A" in headers
    assert 1 not in headers


def test_no_headers_make_no_block() -> None:
    """An empty block would be a protocol error."""
    assert block_of([]) == b""
    assert dict(Headers.parse(b"")) == {}


@given(st.text())
def test_a_safe_value_cannot_begin_another_header(value: str) -> None:
    """Whatever value_is_safe lets through stays one line."""
    if value_is_safe(value):
        assert len(lines(block_of([header_line("X", value)]))) == 1
    else:
        assert set(value) & set("\r\n\x00")


@given(st.text(max_size=10))
def test_a_safe_name_is_one_printable_word(name: str) -> None:
    """No colon, space or control character."""
    if name_is_safe(name):
        assert name_of(header_line(name, "x")) == name.lower().encode()


def test_a_repr_shows_no_values() -> None:
    """Values may be secrets."""
    assert "s3cret" not in repr(Headers({"Authorization": "s3cret"}))
