"""TFRecords: round trips, TensorFlow's bytes, and every way of being broken."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.crc32c import masked_crc32c
from jupyter_tfserve.codec.tfrecord import encode_record, read_records, whole_records_end
from jupyter_tfserve.errors import Code, ServingError

HELLO = bytes.fromhex("0500000000000000eab2043e68656c6c6fbb1f1c19")
"""What tf.io.TFRecordWriter writes for b"hello"."""
TWO = HELLO + encode_record(b"x" * 9000)


def records(text: bytes) -> list[bytes]:
    return list(read_records(io.BytesIO(text)))


def test_record_is_tensorflows_byte_for_byte() -> None:
    assert encode_record(b"hello") == HELLO


@given(st.lists(st.binary(max_size=6000), max_size=5))
def test_records_come_back_as_they_were_written(texts: list[bytes]) -> None:
    file = b"".join(map(encode_record, texts))
    assert records(file) == texts
    assert whole_records_end(io.BytesIO(file)) == len(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HELLO[:15], "truncated record at 0' failed with Read less bytes than requested"),
        (TWO[:60], "truncated record at 21' failed with Read less bytes than requested"),
        (TWO[:-1], "truncated record at 21' failed with Read less bytes than requested"),
        (b"z" + HELLO[1:], "corrupted record at 0 (Is this even a TFRecord file?)"),
        (b"this is no TFRecord file", "corrupted record at 0 (Is this even a TFRecord file?)"),
        (HELLO[:13] + b"q" + HELLO[14:], "corrupted record at 12"),
        (TWO[:40] + b"q" + TWO[41:], "corrupted record at 33"),
        (TWO[:21] + b"q" + TWO[22:], "corrupted record at 21"),
    ],
)
def test_broken_file_is_data_loss_in_tensorflows_words(text: bytes, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        records(text)
    assert (caught.value.code, caught.value.message) == (Code.DATA_LOSS, message)


def test_announced_gigabytes_are_not_allocated_when_the_file_is_short() -> None:
    header = (1 << 60).to_bytes(8, "little")
    with pytest.raises(ServingError, match="truncated record at 0"):
        records(header + masked_crc32c(header).to_bytes(4, "little") + b"abc")


@pytest.mark.parametrize("cut", range(1, 30))
def test_whole_records_end_before_a_tail_that_was_cut(cut: int) -> None:
    """A writer that was killed leaves such a file."""
    assert whole_records_end(io.BytesIO((HELLO + encode_record(b"y" * 20))[:-cut])) == len(HELLO)


def test_partial_last_header_ends_the_file() -> None:
    assert records(TWO[:25]) == [b"hello"]
