"""Frames: round trips for every dtype and shape, in any pieces; no lie about sizes is believed."""

from __future__ import annotations

import contextlib

import ml_dtypes  # noqa: F401  registers bfloat16 with numpy
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker import frame
from jupyter_tfserve.worker.frame import (
    MAX_BODY_BYTES,
    PREFIX,
    SMALL_BYTES,
    Call,
    Frame,
    FrameDecoder,
    FrameError,
    decode_call,
    decode_report,
    decode_result,
    encode_call,
    encode_error,
    encode_report,
    encode_result,
)

NUMBERS = [row for row in DTYPES.values() if row.name != "string"]
shapes = st_np.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def tensors(draw):
    shape = draw(shapes)
    count = int(np.prod(shape))
    if draw(st.booleans()):
        texts = draw(st.lists(st.binary(max_size=20), min_size=count, max_size=count))
        return np.fromiter(texts, object, count).reshape(shape)
    dtype = draw(st.sampled_from(NUMBERS)).numpy
    size = count * dtype.itemsize
    if dtype == np.bool_:
        return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(shape)
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)


def feed(decoder, data, sizes=()):
    """Every frame that `data` completes, read in pieces of these sizes, then in whatever fits."""
    frames, sizes, data = [], list(sizes), memoryview(data)
    while data:
        into = decoder.get_buffer()
        count = min(len(into), len(data), sizes.pop(0) if sizes else len(data))
        into[:count] = data[:count]
        data = data[count:]
        received = decoder.received(count)
        if received is not None:
            frames.append(received)
    return frames


def same(one, other):
    if one.dtype == object:
        return one.shape == other.shape and one.ravel().tolist() == other.ravel().tolist()
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), tensors(), max_size=4),
    st.lists(st.text(max_size=5), max_size=3),
    st.none() | st.floats(0, 1e6),
    st.lists(st.integers(1, 50), max_size=30),
)
def test_call_survives_when_read_in_any_pieces(inputs, outputs, timeout_s, sizes):
    call = Call("serving_default", inputs, tuple(outputs), timeout_s)
    [received] = feed(FrameDecoder(), b"".join(encode_call(call)), sizes)
    decoded = decode_call(received)
    assert (decoded.signature, decoded.outputs, decoded.timeout_s) == (
        call.signature,
        call.outputs,
        timeout_s,
    )
    assert list(decoded.inputs) == list(inputs)
    assert all(same(decoded.inputs[alias], inputs[alias]) for alias in inputs)


@pytest.mark.parametrize("size", [SMALL_BYTES - 100, SMALL_BYTES, SMALL_BYTES + 1, 3_000_001])
def test_result_survives_when_body_is_around_or_above_the_small_size(size):
    values = np.arange(size, dtype=np.uint8)
    data = b"".join(encode_result({"y": values, "z": np.float64(3).reshape(())}, 0.25))
    decoder = FrameDecoder()
    for _ in range(2):
        [received] = feed(decoder, data, [1, 11, 5, 70_000, 1])
        result = decode_result(received)
        assert (result.outputs["y"] == values).all()
        assert result.outputs["z"] == 3
        assert result.compute_s == 0.25


def test_call_survives_when_header_is_larger_than_the_scratch_buffer():
    outputs = tuple(f"output_{number}" * 10 for number in range(2000))
    [received] = feed(
        FrameDecoder(), b"".join(encode_call(Call("s", {"x": np.ones(9)}, outputs))), [65_000] * 5
    )
    assert decode_call(received).outputs == outputs


def test_large_tensor_is_not_copied_when_encoded():
    tensor = np.zeros(2**20, np.float32)
    parts = encode_call(Call("s", {"x": tensor}))
    assert np.shares_memory(np.frombuffer(parts[-1], np.uint8), tensor)


def test_large_tensor_is_a_view_of_the_received_body_when_decoded():
    [received] = feed(FrameDecoder(), b"".join(encode_call(Call("s", {"x": np.zeros(2**20, np.float32)}))))
    assert np.shares_memory(decode_call(received).inputs["x"], np.frombuffer(received.body, np.uint8))


@pytest.mark.parametrize(
    "strided", [np.arange(12.0).reshape(3, 4).T, np.arange(2.0**18).reshape(512, 512)[:, ::2]]
)
def test_call_survives_when_array_is_not_contiguous(strided):
    [received] = feed(FrameDecoder(), b"".join(encode_call(Call("s", {"x": strided}))))
    assert (decode_call(received).inputs["x"] == strided).all()


def test_arrays_are_aligned_when_sizes_are_odd():
    inputs = {"a": np.ones(3, np.bool_), "b": np.ones(5, np.complex128), "c": np.ones(1, np.int64)}
    [received] = feed(FrameDecoder(), b"".join(encode_call(Call("s", inputs))))
    assert all(tensor.flags.aligned for tensor in decode_call(received).inputs.values())


@pytest.mark.parametrize("count", [SMALL_BYTES, SMALL_BYTES + 1, 1_000_003])
def test_large_arrays_begin_where_tensorflow_takes_them_without_a_copy(count):
    inputs = {"a": np.zeros(count, np.int8), "b": np.zeros(3, np.float64)}
    [received] = feed(FrameDecoder(), b"".join(encode_call(Call("s", inputs))))
    assert all(array.ctypes.data % 64 == 0 for array in decode_call(received).inputs.values())


def test_error_is_raised_again_when_the_answer_is_one():
    sent = ServingError(Code.INVALID_ARGUMENT, "no ☃")
    [received] = feed(FrameDecoder(), b"".join(encode_error(sent)))
    for decode in (decode_result, decode_report):
        with pytest.raises(ServingError, match="no ☃") as raised:
            decode(received)
        assert raised.value.code is Code.INVALID_ARGUMENT


def test_report_survives_when_sent():
    [received] = feed(FrameDecoder(), b"".join(encode_report(b"\0defs" * 50_000)))
    assert decode_report(received) == b"\0defs" * 50_000


def test_unknown_dtype_is_unimplemented_when_encoded():
    with pytest.raises(ServingError) as raised:
        encode_result({"y": np.zeros(2, "datetime64[s]")}, 0)
    assert raised.value.code is Code.UNIMPLEMENTED


def test_encoding_is_refused_when_the_tensors_exceed_the_limit(monkeypatch):
    monkeypatch.setattr(frame, "MAX_BODY_BYTES", 1000)
    encode_result({"y": np.zeros(125)}, 0)
    with pytest.raises(ServingError, match="The tensors have 1008 bytes; a batch may have 1000") as raised:
        encode_result({"y": np.zeros(126)}, 0)
    assert raised.value.code is Code.RESOURCE_EXHAUSTED


def frame_with(tensors, body, **header):
    return Frame({"s": "s", "o": [], "t": None, "c": 0, "x": tensors, **header}, body)


@pytest.mark.parametrize(
    "lie",
    [
        frame_with([["x", "float", [2], 4]], bytes(4)),
        frame_with([["x", "float", [1], 8]], bytes(8)),
        frame_with([["x", "float", [2], 8]], bytes(4)),
        frame_with([["x", "float", [1], 4]], bytes(8)),
        frame_with([["x", "float", [-1], -4]], bytes(4)),
        frame_with([["x", "float", [-1, -1], 4]], bytes(4)),
        frame_with([["x", "float", [2**62, 4], 0]], b""),
        frame_with([["x", "float", [1] * 65, 4]], bytes(4)),
        frame_with([["x", "float", [1.0], 4]], bytes(4)),
        frame_with([["x", "float", "1", 4]], bytes(4)),
        frame_with([["x", "resource", [1], 4]], bytes(4)),
        frame_with([["x", [], [1], 4]], bytes(4)),
        frame_with([["x", "float"]], bytes(4)),
        frame_with(7, b""),
        frame_with([["x", "string", [2], 16]], np.array([2**64 - 1, 1], "<u8").tobytes()),
        frame_with([["x", "string", [1], 10]], np.array([3], "<u8").tobytes() + b"ab"),
        frame_with([["x", "string", [1], 10]], np.array([1], "<u8").tobytes() + b"ab"),
        frame_with([["x", "string", [2], 8]], bytes(8)),
        frame_with([["x", "string", [0], 1]], b"a"),
    ],
)
def test_frame_is_refused_when_its_tensors_lie(lie):
    for decode in (decode_call, decode_result):
        with pytest.raises(FrameError):
            decode(lie)


@pytest.mark.parametrize("header", [{}, {"e": [3]}, {"e": 3}, {"e": [99, "x"]}, {"e": ["a", "b"]}])
def test_answer_is_refused_when_header_is_no_answer(header):
    for decode in (decode_result, decode_report):
        with pytest.raises(FrameError):
            decode(Frame(header, b""))


@pytest.mark.parametrize(
    "data",
    [
        PREFIX.pack(2**25, 0),
        PREFIX.pack(2, MAX_BODY_BYTES + 1),
        PREFIX.pack(2, 0) + b"{]",
        PREFIX.pack(2, 0) + b"[]",
        PREFIX.pack(2, 0) + b"{}" + b"more",
        PREFIX.pack(2, 2**20) + b"[]" + bytes(9),
    ],
)
def test_decoder_refuses_when_bytes_are_no_frame(data):
    with pytest.raises(FrameError):
        feed(FrameDecoder(), data)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_decoder_raises_only_frame_errors_when_bytes_are_noise(noise, header_bytes):
    try:
        for received in feed(FrameDecoder(), PREFIX.pack(header_bytes, len(noise) % 7) + noise):
            decode_call(received)
    except FrameError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("soxtce"), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("soxtce"), json_values, max_size=6), st.binary(max_size=32))
def test_decoding_raises_only_its_errors_when_header_is_any_json(header, body):
    received = Frame(orjson.loads(orjson.dumps(header, option=orjson.OPT_PASSTHROUGH_SUBCLASS)), body)
    for decode in (decode_call, decode_result, decode_report):
        with contextlib.suppress(FrameError, ServingError):
            decode(received)
