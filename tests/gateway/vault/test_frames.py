"""Frames survive any cut of the stream; anything else ends in `BadFrame`, which says nothing of it."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vault import frames
from gateway.vault.frames import BadFrame, Splitter, pack

NUMBER = "4111111111111111"
SAMPLES: list[frames.Frame] = [
    frames.Ping(1),
    frames.StoreCard(2, "acc_a", NUMBER, 1, 2039, "Ada"),
    frames.OpenCard(3, "card_a", "acc_a", "op_a", bytes(16)),
    frames.DeleteCard(4, "card_a", "acc_a"),
    frames.Digest(5, b"x" * 70_000),
    frames.Rotate(6),
    frames.CountCards(7),
    frames.Hello(8, bytes(32)),
    frames.Prove(9, bytes(32)),
]
STREAM = b"".join(pack(sample) for sample in SAMPLES)


def read(data: bytes) -> list[frames.RequestFrame] | str:
    """The frames in `data`, or what the refusal says."""
    try:
        return list(Splitter(frames.REQUESTS).feed(data))
    except BadFrame as error:
        return str(error)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_frames_come_out_whole_however_the_stream_was_cut(cuts: list[int]) -> None:
    splitter, found = Splitter(frames.REQUESTS), []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(places):
        found += splitter.feed(STREAM[start:end])
    assert found == SAMPLES


@given(st.binary(max_size=200))
def test_a_body_of_nonsense_is_refused_without_a_word_of_it(body: bytes) -> None:
    found = read(len(body).to_bytes(4, "big") + body)
    assert found == "unreadable" or all(pack(each)[4:] == body for each in found)


@given(st.binary(max_size=300))
def test_a_stream_of_nonsense_ends_in_waiting_or_refusal(data: bytes) -> None:
    assert read(data) in ([], "unreadable", "too long")


def test_a_long_frame_is_refused_by_its_length_alone() -> None:
    splitter = Splitter(frames.REQUESTS)
    list(splitter.feed(frames.FRAME_MAX.to_bytes(4, "big")))  # may still come
    with pytest.raises(BadFrame):
        list(Splitter(frames.REQUESTS).feed((frames.FRAME_MAX + 1).to_bytes(4, "big")))


def test_what_stands_before_a_bad_frame_is_still_answered() -> None:
    found = Splitter(frames.REQUESTS).feed(pack(frames.Ping(1)) + b"\0\0\0\1\xc1")
    assert next(found) == frames.Ping(1)
    with pytest.raises(BadFrame):
        next(found)


@pytest.mark.parametrize(
    "number", ["4111 1111 1111 1111", "411111111111", "4" * 20, "４１１１１１１１１１１１１１１１", NUMBER + "\n"]
)
def test_only_digits_pass_for_a_number(number: str) -> None:
    with pytest.raises(BadFrame):
        list(Splitter(frames.REQUESTS).feed(pack(frames.StoreCard(1, "acc_a", number, 1, 2039, None))))


def test_a_cvc_has_no_way_in() -> None:
    body = msgspec.msgpack.encode(("store", 1, "acc_a", NUMBER, 1, 2039, None, "123"))
    with pytest.raises(BadFrame):
        list(Splitter(frames.REQUESTS).feed(len(body).to_bytes(4, "big") + body))


def test_a_reply_is_no_request() -> None:
    with pytest.raises(BadFrame):
        list(Splitter(frames.REQUESTS).feed(pack(frames.Done(1))))


@pytest.mark.parametrize(
    "frame", [*SAMPLES, frames.CardOpened(1, NUMBER, 1, 2039, "1:a"), frames.Digested(1, b"secret")]
)
def test_text_forms_show_nothing(frame: frames.Frame) -> None:
    for text in (repr(frame), str(frame), f"{frame}", repr([frame])):
        assert NUMBER not in text
        assert "secret" not in text
        assert "Ada" not in text
