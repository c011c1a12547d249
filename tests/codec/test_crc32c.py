"""CRC-32C against its published values and against a bit-by-bit definition."""

from __future__ import annotations

import random

import pytest

from jupyter_tfserve.codec.crc32c import crc32c, masked_crc32c


def by_definition(text: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksum_is_the_published_one(text: bytes, value: int) -> None:
    """RFC 3720, B.4."""
    assert crc32c(text) == value


@pytest.mark.parametrize("length", [1023, 1025, 16_383, 16_384, 16_385, 17_408, 40_000])
def test_checksum_follows_the_definition_when_the_text_is_long(length: int) -> None:
    """Around the sizes where blocks begin."""
    text = random.Random(length).randbytes(length)
    assert crc32c(text) == by_definition(text)


def test_masked_checksum_is_tensorflows() -> None:
    """From a file that TensorFlow wrote: the record `hello`."""
    assert masked_crc32c(b"hello") == 0x191C1FBB
    assert masked_crc32c((5).to_bytes(8, "little")) == 0x3E04B2EA
