"""The receive buffer as a value, against plain bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trioserver._transports.receive_buffer import ReceiveBuffer

TEXT = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n"]), max_size=12).map(b"".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), TEXT.filter(bool)),
        st.tuples(st.just("take"), st.integers(0, 20) | st.just(1 << 70)),
        st.tuples(st.just("line"), st.integers(1, 20) | st.just(1 << 70)),
        st.tuples(st.just("until"), st.sampled_from([b"\n", b"\r\n", b"aba"]), st.integers(1, 20)),
    ),
    max_size=30,
)


def model_until(model: bytes, separator: bytes, limit: int) -> bytes | None:
    """What `take_until` should take of ``model``."""
    at = model[:limit].find(separator)
    return None if at < 0 else model[: at + len(separator)]


def unjoined(buffer: ReceiveBuffer) -> int:
    """How many bytes are in parts that `take_line` does not look at."""
    return sum(map(len, buffer._more or ()))


@given(STEPS)
def test_buffer_when_used_at_random_then_it_is_a_queue_of_bytes(steps: list[tuple[str, object]]) -> None:
    """Any sequence of calls gives what the same calls on plain bytes give."""
    buffer, model = ReceiveBuffer(), b""
    for name, *arguments in steps:
        taken: bytes | None
        if name == "append":
            (data,) = arguments
            assert isinstance(data, bytes)
            buffer.append(data)
            model += data
            continue
        if name == "take":
            (count,) = arguments
            assert isinstance(count, int)
            taken, expected = buffer.take(count), model[:count]
        elif name == "line":
            (limit,) = arguments
            assert isinstance(limit, int)
            first = len(model) - unjoined(buffer)
            taken, expected = buffer.take_line(limit), model_until(model[:first], b"\n", limit) or b""
            assert taken == expected
        else:
            separator, limit = arguments
            assert isinstance(separator, bytes)
            assert isinstance(limit, int)
            taken, found = buffer.take_until(separator, limit), model_until(model, separator, limit)
            assert taken == found
            expected = found or b""
        assert (taken or b"") == expected
        model = model[len(expected) :]
        assert buffer.size == len(model)
    assert buffer.take(buffer.size) == model


@given(TEXT, st.lists(st.integers(1, 5), min_size=1), st.sampled_from([b"\n", b"\r\n"]))
def test_take_until_when_what_was_searched_is_skipped_then_nothing_is_missed(
    text: bytes, sizes: list[int], separator: bytes
) -> None:
    """Skipping all but the last bytes of what was searched finds a separator that was split over chunks."""
    buffer, fed, skip = ReceiveBuffer(), 0, 0
    found = None
    while fed < len(text) and found is None:
        size = sizes[fed % len(sizes)]
        buffer.append(text[fed : fed + size])
        fed += len(text[fed : fed + size])
        found = buffer.take_until(separator, 1000, skip)
        skip = max(0, buffer.size - len(separator) + 1)
    assert found == model_until(text, separator, 1000)


def test_append_when_a_block_comes_in_many_parts_then_they_are_copied_a_few_times_only() -> None:
    """A block of many parts is joined when it is looked at, and in between only so that parts stay few."""
    buffer = ReceiveBuffer()
    for _ in range(1000):
        buffer.append(b"xy")
        assert len(buffer._more or ()) < 256
    assert buffer.size == 2000
    assert buffer.take(2000) == b"xy" * 1000


def test_take_when_all_is_taken_then_no_copy_is_made() -> None:
    """What came in one part and is taken whole is the very same object."""
    buffer = ReceiveBuffer()
    data = bytes(range(256))
    buffer.append(data)
    assert buffer.take(1000) is data
    assert buffer.take(1) == b""
