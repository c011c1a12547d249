"""What crosses a lane: one batch as a small JSON header and the arrays' raw buffers, for both ends. Pure.

    frame  = header bytes (u32), body bytes (u64), header, body          integers are little endian
    header = JSON; "x" lists the tensors as [alias, TensorFlow's dtype, shape, bytes]
    body   = the tensors' buffers, each beginning at a multiple of 64 bytes
             a string tensor is its lengths (u64 each), then all of its bytes

No pickle: a model is a program, and its worker must not be able to run code in the engine. For the same
reason a decoder trusts no number in a frame. Imports no TensorFlow, no asyncio.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import numpy as np
import orjson

from jupyter_tfserve.codec.dtypes import DTYPES, by_numpy
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensor, Tensors

Buffer: TypeAlias = "bytes | memoryview"

PREFIX: Final = struct.Struct("<IQ")
MAX_HEADER_BYTES: Final = 16 * 2**20
MAX_BODY_BYTES: Final = 2 * 2**30
"""Also what a gRPC message may hold. The engine allocates what a worker announces, so it is bounded."""
SMALL_BYTES: Final = 64 * 2**10
"""Up to here one joined write and one read cost less than avoiding the copy."""

SESSION_RUN: Final = "\0session_run"
"""A call's signature, which no model has: inputs and outputs are tensors of the graph by their names."""

_ALIGNMENT: Final = 64
"""TensorFlow copies an input that begins elsewhere before it computes."""
_STRING: Final = DTYPES["string"].numpy
_LENGTH: Final = np.dtype("<u8")
_MALFORMED: Final = (KeyError, TypeError, ValueError, OverflowError)
"""What reading a header of any other JSON raises."""


class FrameError(ValueError):
    """The bytes are no frame, or a frame that lies about its sizes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One batch for one signature. Empty `outputs` ask for all of the signature's."""

    signature: str
    inputs: Tensors
    outputs: tuple[str, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class LaneResult:
    """What the model answered, how long it computed, and the share of the CPUs that this kept busy; 0 if that is not
    known. The arrays are read-only views into one buffer."""

    outputs: dict[str, Tensor]
    compute_s: float
    busy_share: float = 0.0


class Frame(NamedTuple):
    """A whole frame: its parsed header and its body, which the arrays will be views of."""

    header: dict[str, Any]
    body: Buffer


def encode_call(call: Call) -> list[Buffer]:
    """The frame as buffers to be written in order; a single one if it is small."""
    header = {"s": call.signature, "o": call.outputs, "t": call.timeout_s}
    return encode_tensors(header, call.inputs)


def decode_call(frame: Frame) -> Call:
    """The call in a frame; FrameError if it is none."""
    try:
        header = frame.header
        return Call(header["s"], decode_tensors(frame), tuple(header["o"]), header["t"])
    except _MALFORMED as error:
        raise FrameError(f"no call in the frame: {error}") from error


def encode_result(outputs: Tensors, compute_s: float, busy_share: float = 0.0) -> list[Buffer]:
    """The frame that answers a call that went well."""
    header = {"c": compute_s, "b": busy_share} if busy_share else {"c": compute_s}
    return encode_tensors(header, outputs)


def encode_error(error: ServingError) -> list[Buffer]:
    """The frame that answers a call that failed."""
    return encode_tensors({"e": [int(error.code), error.message]}, {})


def encode_report(signature_defs: bytes) -> list[Buffer]:
    """The frame that a worker sends on its control socket once its model is loaded."""
    text = orjson.dumps({"loaded": True})
    return [PREFIX.pack(len(text), len(signature_defs)) + text, signature_defs]


def decode_report(frame: Frame) -> bytes:
    """The loaded model's signature definitions; ServingError if it could not be loaded."""
    if "e" in frame.header:
        _raise_error(frame.header["e"])
    if "loaded" not in frame.header:
        raise FrameError("no report in the frame")
    return bytes(frame.body)


def decode_result(frame: Frame) -> LaneResult:
    """What the worker answered; ServingError if that is an error, FrameError if the frame is no answer."""
    try:
        if "e" in frame.header:
            _raise_error(frame.header["e"])
        header = frame.header
        return LaneResult(decode_tensors(frame), float(header["c"]), float(header.get("b", 0.0)))
    except _MALFORMED as error:
        raise FrameError(f"no answer in the frame: {error}") from error


class FrameDecoder:
    """Frames out of a stream, without copying large bodies: read into `get_buffer()`, tell `received(n)`.

    A body of more than 64 KiB is received where it will stay. Lanes carry one frame at a time, so bytes after
    a frame's end are an error.
    """

    __slots__ = ("_body", "_filled", "_have", "_header", "_scratch")

    def __init__(self) -> None:
        self._scratch = memoryview(bytearray(SMALL_BYTES))
        self._have = 0
        self._header: dict[str, Any] = {}
        self._body: memoryview | None = None
        self._filled = 0

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        if self._body is not None:
            return self._body[self._filled :]
        return self._scratch[self._have :]

    def received(self, count: int) -> Frame | None:
        """The frame that those bytes completed, if they did; FrameError if they can't be one."""
        if self._body is None:
            self._have += count
            return self._read_scratch()
        self._filled += count
        if self._filled < self._body.nbytes:
            return None
        frame = Frame(self._header, self._body.toreadonly())
        self._body = None
        return frame

    def _read_scratch(self) -> Frame | None:
        have = self._have
        if have < PREFIX.size:
            return None
        header_bytes, body_bytes = PREFIX.unpack_from(self._scratch)
        if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
            raise FrameError(f"a frame of {header_bytes} + {body_bytes} bytes")
        start = PREFIX.size + header_bytes
        end = start + body_bytes
        if have > end:
            raise FrameError("bytes after the frame's end")
        if have == end:
            self._have = 0
            return Frame(_parse_header(self._scratch[PREFIX.size : start]), bytes(self._scratch[start:end]))
        if have >= start and end > self._scratch.nbytes:
            self._begin_body(start, body_bytes)
        elif start >= self._scratch.nbytes:
            self._grow(start + _ALIGNMENT)
        return None

    def _begin_body(self, start: int, body_bytes: int) -> None:
        self._header = _parse_header(self._scratch[PREFIX.size : start])
        # np.empty, because a bytearray of that size would be filled with zeros first.
        room = np.empty(body_bytes + _ALIGNMENT, np.uint8)
        first = -room.ctypes.data % _ALIGNMENT
        self._body = room[first : first + body_bytes].data
        self._filled = self._have - start
        self._body[: self._filled] = self._scratch[start : self._have]
        self._have = 0

    def _grow(self, size: int) -> None:
        larger = memoryview(bytearray(size))
        larger[: self._have] = self._scratch[: self._have]
        self._scratch = larger


def _parse_header(text: memoryview) -> dict[str, Any]:
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FrameError("the header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("the header is no object")
    return header


def _raise_error(error: Any) -> NoReturn:
    try:
        code, message = error
        raise ServingError(Code(code), str(message))
    except _MALFORMED as malformed:
        raise FrameError("no error in the frame") from malformed


def encode_tensors(header: dict[str, Any], tensors: Tensors) -> list[Buffer]:
    """A frame of any header and tensors, as buffers to be written in order. ServingError if they cannot be sent."""
    described: list[tuple[str, str, Sequence[int], int]] = []
    parts: list[Buffer] = [b""]
    offset = 0
    for alias, tensor in tensors.items():
        padding = -offset % _ALIGNMENT
        if padding:
            parts.append(bytes(padding))
        dtype = by_numpy(tensor.dtype)
        if dtype is None:
            raise ServingError(Code.UNIMPLEMENTED, f"Tensors of type {tensor.dtype} cannot be sent: {alias}")
        size = _append_strings(parts, tensor) if dtype.numpy is _STRING else _append_numbers(parts, tensor)
        described.append((alias, dtype.name, tensor.shape, size))
        offset += padding + size
    if offset > MAX_BODY_BYTES:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED, f"The tensors have {offset} bytes; a batch may have {MAX_BODY_BYTES}"
        )
    header["x"] = described
    text = orjson.dumps(header)
    parts[0] = PREFIX.pack(len(text), offset) + text
    if offset <= SMALL_BYTES:
        return [b"".join(parts)]
    return parts


def _append_numbers(parts: list[Buffer], tensor: Tensor) -> int:
    size = tensor.nbytes
    if size <= SMALL_BYTES:
        parts.append(tensor.tobytes())
    else:
        # As bytes: memoryview knows no bfloat16.
        parts.append(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return size


def _append_strings(parts: list[Buffer], tensor: Tensor) -> int:
    texts = tensor.ravel().tolist()
    lengths = np.fromiter(map(len, texts), _LENGTH, len(texts)).tobytes()
    joined = b"".join(texts)
    parts.append(lengths)
    parts.append(joined)
    return len(lengths) + len(joined)


def decode_tensors(frame: Frame) -> dict[str, Tensor]:
    """The tensors of a frame, read-only; FrameError, KeyError, TypeError or ValueError if it has none."""
    tensors: dict[str, Tensor] = {}
    body = frame.body
    offset = 0
    for alias, name, shape, size in frame.header["x"]:
        offset += -offset % _ALIGNMENT
        if size < 0 or offset + size > len(body) or any(dimension < 0 for dimension in shape):
            raise FrameError(f"tensor {alias} lies outside the frame")
        numpy_dtype = DTYPES[name].numpy
        count = math.prod(shape)
        if numpy_dtype is _STRING:
            flat = _decode_strings(body, offset, size, count)
        elif count * numpy_dtype.itemsize == size:
            flat = np.frombuffer(body, numpy_dtype, count, offset)
        else:
            raise FrameError(f"tensor {alias} has {size} bytes for shape {shape}")
        tensors[alias] = flat if len(shape) == 1 else flat.reshape(shape)
        offset += size
    if offset != len(body):
        raise FrameError("the body is longer than its tensors")
    return tensors


def _decode_strings(body: Buffer, offset: int, size: int, count: int) -> Tensor:
    text_bytes = size - count * _LENGTH.itemsize
    if text_bytes < 0:
        raise FrameError("fewer bytes than lengths")
    lengths = np.frombuffer(body, _LENGTH, count, offset)
    # The largest one first: a sum of unbounded lengths could wrap around to the right number.
    if count and int(lengths.max()) > text_bytes:
        raise FrameError("a string is longer than the tensor")
    ends = np.cumsum(lengths).tolist()
    if (ends[-1] if count else 0) != text_bytes:
        raise FrameError("the strings' lengths do not add up")
    start = offset + count * _LENGTH.itemsize
    joined = bytes(body[start : start + text_bytes])
    begins = [0, *ends[:-1]]
    texts = [joined[begin:end] for begin, end in zip(begins, ends, strict=True)] if count else []
    return np.fromiter(texts, object, count)
