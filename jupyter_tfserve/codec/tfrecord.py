"""TFRecord files: each record with its length and the checksums of both. Pure but for the given stream.

    record = length (u64), masked crc32c of those 8 bytes, the bytes, masked crc32c of them     little endian

The texts are those of TensorFlow's own reader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from jupyter_tfserve.codec.crc32c import masked_crc32c
from jupyter_tfserve.errors import Code, ServingError

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_HEADER_BYTES: Final = _LENGTH.size + _CRC.size


def encode_record(text: bytes) -> bytes:
    """The record that holds `text`; records one after another are a file."""
    length = _LENGTH.pack(len(text))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), text, _CRC.pack(masked_crc32c(text))))


def read_records(stream: BinaryIO) -> Iterator[bytes]:
    """The records of a seekable stream, from its beginning, one at a time; DATA_LOSS where it breaks.

    A last header that is not whole ends the file without an error, as in TensorFlow.
    """
    end = stream.seek(0, 2)
    offset = 0
    while True:
        length = _read_length(stream, offset)
        if length is None:
            return
        start = offset + _HEADER_BYTES
        if length + _CRC.size > end - start:
            # Checked before it is read: a length of many gigabytes must not be allocated.
            raise _data_loss(f"truncated record at {offset}' failed with Read less bytes than requested")
        text = stream.read(length)
        if _CRC.unpack(stream.read(_CRC.size)) != (masked_crc32c(text),):
            raise _data_loss(f"corrupted record at {start}")
        yield text
        offset = start + length + _CRC.size


def whole_records_end(stream: BinaryIO) -> int:
    """Where the last whole record of a seekable stream ends: a writer that goes on writes from there.

    Only lengths are checked, so this costs one seek per record.
    """
    end = stream.seek(0, 2)
    offset = 0
    while True:
        try:
            length = _read_length(stream, offset)
        except ServingError:
            return offset
        following = offset + _HEADER_BYTES + (length or 0) + _CRC.size
        if length is None or following > end:
            return offset
        offset = following


def _read_length(stream: BinaryIO, offset: int) -> int | None:
    stream.seek(offset)
    header = stream.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return None
    length = header[: _LENGTH.size]
    if _CRC.unpack_from(header, _LENGTH.size) != (masked_crc32c(length),):
        question = "" if offset else " (Is this even a TFRecord file?)"
        raise _data_loss(f"corrupted record at {offset}{question}")
    return int(_LENGTH.unpack(length)[0])


def _data_loss(message: str) -> ServingError:
    return ServingError(Code.DATA_LOSS, message)
