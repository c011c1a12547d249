"""Pictures out of a model's inputs: image tensors and encoded image files, as `data:` URLs. Pure.

PNGs are written here, in a few lines, so that showing one needs no imaging library.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from jupyter_tfserve.types import Tensor

SMALLEST_SIDE: Final = 8
"""Below this a grid of numbers is no picture: a 4x4x3 tensor is more often features."""
SMALLEST_PLAIN_SIDE: Final = 16
"""The same for tensors without a channel dimension, which may well be sequences or tables."""
LONGEST_SIDE: Final = 128
MAX_FILE_BYTES: Final = 256 * 2**10
"""Encoded pictures above this are not copied into a notebook."""
_SIGNATURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def picture_url(value: object) -> str | None:
    """A `data:` URL that shows the value, or None if it is no picture.

    Pictures: bytes (or `{"b64": …}`) of a PNG, JPEG or GIF; numbers of shape [H,W,1], [H,W,3] or [H,W].
    """
    content = _file_content(value)
    if content is not None:
        kind = next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)
        return None if kind is None or len(content) > MAX_FILE_BYTES else _url(kind, content)
    pixels = _pixels(value)
    return None if pixels is None else _url("image/png", encode_png(_shrunk(pixels)))


def encode_png(pixels: Tensor) -> bytes:
    """A PNG of uint8 `pixels` of shape [H,W,1] (grey) or [H,W,3]."""
    height, width, channels = pixels.shape
    # Each line is led by its filter, 0: none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _file_content(value: object) -> bytes | None:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError:
            return b""
    return None


def _pixels(value: object) -> Tensor | None:
    """The value as uint8 of shape [H,W,1] or [H,W,3], if it can be looked at."""
    if isinstance(value, str | Mapping):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    if array.dtype.kind not in "fiub":
        return None
    if array.ndim == 2 and min(array.shape) >= SMALLEST_PLAIN_SIDE:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or min(array.shape[:2]) < SMALLEST_SIDE:
        return None
    return _bytes_of(array)


def _bytes_of(array: Tensor) -> Tensor:
    """Brightness from 0 to 255, for values that go from 0 to 255, from 0 to 1, or over any other range."""
    if array.dtype == np.uint8:
        return array
    levels: Tensor = np.nan_to_num(array.astype(np.float64))
    low, high = float(levels.min()), float(levels.max())
    if low < 0 or high > 255:
        levels = (levels - low) / ((high - low) or 1.0) * 255
    elif high <= 1:
        levels = levels * 255
    rounded: Tensor = levels.round().astype(np.uint8)
    return rounded


def _shrunk(pixels: Tensor) -> Tensor:
    """At most `LONGEST_SIDE` on each side, by leaving lines out: it is a thumbnail."""
    step = -(-max(pixels.shape[:2]) // LONGEST_SIDE)
    return np.ascontiguousarray(pixels[::step, ::step])


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def rows_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The request's rows by input name (an input without a name is `input`); empty when it has none."""
    rows = document.get("instances")
    if rows is None:
        inputs = document.get("inputs")
        named = isinstance(inputs, Mapping) and inputs.keys() != {"b64"}
        columns = dict(inputs) if named and isinstance(inputs, Mapping) else {"input": inputs}
        return {name: column for name, column in columns.items() if hasattr(column, "__len__")}
    first = rows[0] if len(rows) else None
    if isinstance(first, Mapping) and first.keys() != {"b64"}:
        return {name: [row.get(name) for row in rows] for name in first}
    return {"input": rows}
