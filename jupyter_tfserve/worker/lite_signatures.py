"""The SignatureDefs that TensorFlow's `signature_def_utils` embeds in a .tflite file, as its metadata.

They are a flexbuffer map from keys to serialized SignatureDefs, in a buffer that the file's metadata names.
Runs in the worker's process. It reads the flatbuffer by its schema's field numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import flatbuffers  # type: ignore[import-untyped,unused-ignore]
from flatbuffers import flexbuffers
from flatbuffers.number_types import (  # type: ignore[import-untyped,unused-ignore]
    Uint8Flags,
    Uint32Flags,
    UOffsetTFlags,
)
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

METADATA_NAME: Final = b"signature_defs_metadata"

# Places of fields in their tables' vtables: 4 + 2 * the field's number in schema.fbs.
_MODEL_BUFFERS: Final = 12
_MODEL_METADATA: Final = 16
_METADATA_NAME: Final = 4
_METADATA_BUFFER: Final = 6
_BUFFER_DATA: Final = 4


def embedded_signature_defs(model: bytes) -> dict[str, Any]:
    """The SignatureDefs by key; none for a file without them. ValueError and the like for a broken file."""
    root = flatbuffers.table.Table(model, flatbuffers.encode.Get(UOffsetTFlags.packer_type, model, 0))
    for entry in _tables(root, _MODEL_METADATA):
        name = entry.Offset(_METADATA_NAME)
        if name and entry.String(entry.Pos + name) == METADATA_NAME:
            buffer = entry.Offset(_METADATA_BUFFER)
            number = entry.Get(Uint32Flags, entry.Pos + buffer) if buffer else 0
            return _parse(_buffer(root, number))
    return {}


def without_port(tensor_name: str) -> str:
    """The name without the `:0` that says which of an operation's outputs it is."""
    return re.sub(r":[0-9]+$", "", tensor_name)


def _parse(text: bytes) -> dict[str, Any]:
    entries = flexbuffers.GetRoot(text).AsMap
    keys = [key.AsKey for key in entries.Keys]
    return {str(key): SignatureDef.FromString(bytes(entries[key].AsStringBytes)) for key in keys}


def _buffer(root: Any, number: int) -> bytes:
    for place, buffer in enumerate(_tables(root, _MODEL_BUFFERS)):
        data = buffer.Offset(_BUFFER_DATA)
        if place == number and data:
            start, length = buffer.Vector(data), buffer.VectorLen(data)
            return bytes(buffer.Bytes[start : start + length * Uint8Flags.bytewidth])
    raise ValueError("its metadata names a buffer that is not there")


def _tables(table: Any, field: int) -> Iterator[Any]:
    """The tables in a vector of tables."""
    offset = table.Offset(field)
    if not offset:
        return
    start = table.Vector(offset)
    for place in range(table.VectorLen(offset)):
        yield flatbuffers.table.Table(table.Bytes, table.Indirect(start + place * UOffsetTFlags.bytewidth))
