"""codec.tensor_proto: TensorFlow's reading of a TensorProto, both ways, within the limit."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.protos import TensorProto
from jupyter_tfserve.codec.tensor_proto import MAX_RANK, decode_tensor, encode_tensor, tensor_bytes
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions

LIMITS = LimitOptions()
NUMBERS = sorted(set(DTYPES) - {"string"})

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def proto(dtype: str, shape: tuple[int, ...], **fields) -> TensorProto:
    message = TensorProto(dtype=DTYPES[dtype].number, **fields)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add().size = size
    return message


def encoded(tensor: np.ndarray, as_content: bool = False) -> TensorProto:
    message = TensorProto()
    encode_tensor(tensor, message, as_content)
    return TensorProto.FromString(message.SerializeToString())


def refused(message: TensorProto, limits: LimitOptions = LIMITS, spent_bytes: int = 0) -> ServingError:
    with pytest.raises(ServingError) as caught:
        decode_tensor(message, limits, spent_bytes)
    return caught.value


@st.composite
def number_tensors(draw) -> np.ndarray:
    """Any bits in any numeric dtype: NaNs and infinities among them."""
    dtype = DTYPES[draw(st.sampled_from(NUMBERS))]
    shape = draw(shapes)
    count = int(np.prod(shape, dtype=np.int64))
    if dtype.name == "bool":
        bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        return np.array(bits, dtype=bool).reshape(shape)
    size = count * dtype.numpy.itemsize
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype.numpy).reshape(shape)


@given(tensor=number_tensors(), as_content=st.booleans())
@settings(deadline=None)
def test_numbers_come_back_bit_for_bit_when_encoded_and_decoded(tensor, as_content):
    decoded = decode_tensor(encoded(tensor, as_content), LIMITS)
    assert (decoded.dtype, decoded.shape) == (tensor.dtype, tensor.shape)
    assert decoded.tobytes() == tensor.tobytes()


@given(shape=shapes, data=st.data(), as_content=st.booleans())
@settings(deadline=None)
def test_strings_come_back_when_encoded_and_decoded(shape, data, as_content):
    count = int(np.prod(shape, dtype=np.int64))
    strings = data.draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
    tensor = np.empty(count, object)
    tensor[:] = strings
    decoded = decode_tensor(encoded(tensor.reshape(shape), as_content), LIMITS)
    assert (decoded.dtype, decoded.shape) == (np.dtype(object), shape)
    assert decoded.ravel().tolist() == strings


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_every_bit_of_a_nan_is_kept_when_decoded(count):
    bits = np.full(count, 0x7FA00001, np.uint32)
    decoded = decode_tensor(encoded(bits.view(np.float32)), LIMITS)
    assert decoded.tobytes() == bits.tobytes()


@pytest.mark.parametrize("count", [1, 32, 33])
def test_infinities_and_the_largest_numbers_are_kept_however_many_there_are(count):
    tensor = np.array([np.inf, -np.inf, 3.4028235e38] * count, np.float32)
    assert decode_tensor(encoded(tensor), LIMITS).tolist() == tensor.tolist()
    largest = np.full(count, 2**64 - 1, np.uint64)
    assert decode_tensor(encoded(largest), LIMITS).tolist() == largest.tolist()


def test_a_shape_is_read_when_its_message_is_long():
    message = proto("float", (2, 1), float_val=[1, 2])
    message.tensor_shape.dim[0].name = "n" * 100
    assert decode_tensor(message, LIMITS).tolist() == [[1], [2]]


def test_a_strided_tensor_keeps_its_order_when_encoded():
    tensor = np.arange(6, dtype=np.float16).reshape(2, 3).T
    assert decode_tensor(encoded(tensor), LIMITS).tolist() == tensor.tolist()
    assert decode_tensor(encoded(tensor.astype(np.float32).T[:, ::2]), LIMITS).tolist() == [[0, 2], [3, 5]]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (proto("float", (3,), float_val=[1, 2]), [1, 2, 2]),
        (proto("float", (2, 2)), [[0, 0], [0, 0]]),
        (proto("float", (1,), float_val=[1, 2, 3]), [1]),
        (proto("float", (), float_val=[7]), 7),
        (proto("float", ()), 0),
        (proto("float", (0, 3), float_val=[7]), [[]][:0]),
        (proto("int8", (2,), int_val=[-1, 300]), [-1, 44]),
        (proto("uint8", (2,), int_val=[255, -1]), [255, 255]),
        (proto("uint16", (1,), int_val=[65535]), [65535]),
        (proto("uint32", (1,), uint32_val=[2**32 - 1]), [2**32 - 1]),
        (proto("uint64", (1,), uint64_val=[2**64 - 1]), [2**64 - 1]),
        (proto("int64", (1,), int64_val=[-(2**63)]), [-(2**63)]),
        (proto("bool", (2,), bool_val=[True, False]), [True, False]),
        (proto("bool", (3,), tensor_content=b"\x00\x01\x07"), [False, True, True]),
        (proto("half", (2,), half_val=[0x3C00, 0xC000]), [1, -2]),
        (proto("bfloat16", (2,), half_val=[0x3F80]), [1, 1]),
        (proto("complex64", (2,), scomplex_val=[1, 2, 3]), [1 + 2j, 1 + 2j]),
        (proto("complex128", (1,), dcomplex_val=[1, 2]), [1 + 2j]),
        (proto("string", (3,), string_val=[b"a", b"b"]), [b"a", b"b", b"b"]),
        (proto("string", (2,)), [b"", b""]),
        (proto("string", (), string_val=[b"\xff"]), b"\xff"),
        (proto("string", (2,), tensor_content=b"\x01\x02abb"), [b"a", b"bb"]),
        (proto("string", (1,), tensor_content=b"\x80\x01" + b"x" * 128), [b"x" * 128]),
        (proto("float8_e5m2", (2,), float8_val=b"\x3c"), [1, 1]),
    ],
    ids=str,
)
def test_proto_is_read_as_tensorflow_reads_it_when_decoded(message, expected):
    decoded = decode_tensor(message, LIMITS)
    assert decoded.tolist() == expected
    assert decoded.dtype == next(row.numpy for row in DTYPES.values() if row.number == message.dtype)


@pytest.mark.parametrize(
    "message",
    [
        proto("float", (-1,)),
        proto("float", (2**62, 2**62)),
        proto("float", (0, 2**62, 2**62)),
        proto("float", (1,) * (MAX_RANK + 1)),
        proto("float", (1,) * 300),
        TensorProto(dtype=1, tensor_shape={"unknown_rank": True}),
        TensorProto(dtype=0, float_val=[1]),
        TensorProto(dtype=20),
        TensorProto(dtype=101, float_val=[1]),
        TensorProto(dtype=9999),
        proto("float", (2,), tensor_content=b"1234567"),
        proto("float", (1,), tensor_content=b"12345678"),
        proto("string", (2,), tensor_content=b"\x01\x02ab"),
        proto("string", (1,), tensor_content=b"\x01ab"),
        proto("string", (1,), tensor_content=b"\xff\xff\xff\xff\xff\x01"),
        proto("string", (3,), tensor_content=b"\x80"),
    ],
    ids=lambda message: repr(message)[:40],
)
def test_proto_is_refused_when_tensorflow_would_refuse_it(message):
    assert refused(message).code is Code.INVALID_ARGUMENT


def test_a_tensor_of_numpys_last_rank_is_read_when_decoded():
    assert decode_tensor(proto("float", (1,) * MAX_RANK), LIMITS).ndim == MAX_RANK


@pytest.mark.parametrize(
    "message",
    [
        proto("double", (2**28,)),
        proto("double", (2**28,), double_val=[1.5]),
        proto("string", (2**28,)),
        proto("string", (1000,), string_val=[b"x" * 2**21]),
        proto("complex128", (2**13, 2**13, 2**13)),
    ],
    ids=["zeros", "repeats", "strings", "repeated_string", "cube"],
)
def test_a_small_proto_costs_nothing_when_it_claims_more_than_the_limit(message):
    """A few bytes that claim gigabytes are refused before they are allocated, and the limit is named."""
    tracemalloc.start()
    try:
        error = refused(message)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert f"max_tensor_bytes is {LIMITS.max_tensor_bytes}" in error.message
    assert peak_bytes < 5 * 2**20


def test_the_limit_is_exact_when_a_tensor_just_fits():
    limits = LimitOptions(max_tensor_bytes=400)
    assert decode_tensor(proto("float", (100,)), limits).size == 100
    assert refused(proto("float", (101,)), limits).code is Code.RESOURCE_EXHAUSTED
    assert refused(proto("float", (100,)), limits, spent_bytes=1).code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("tensor", "size_bytes"),
    [(np.zeros((2, 3), np.float64), 48), (np.array([b"abc", b""], object), 51), (np.zeros((0,), object), 0)],
    ids=["numbers", "strings", "nothing"],
)
def test_tensor_bytes_counts_the_contents_when_asked(tensor, size_bytes):
    assert tensor_bytes(tensor) == size_bytes


def test_a_scalar_has_an_empty_shape_when_encoded():
    message = encoded(np.float32(3.0).reshape(()))
    assert message.HasField("tensor_shape")
    assert not message.tensor_shape.dim
    assert list(message.float_val) == [3.0]


def test_typed_fields_are_used_unless_content_is_asked_for():
    assert list(encoded(np.array([1, 2], np.int64)).int64_val) == [1, 2]
    assert list(encoded(np.array([True]), as_content=False).bool_val) == [True]
    content = encoded(np.array([1.0], np.float32), as_content=True)
    assert (content.tensor_content, len(content.float_val)) == (np.float32(1).tobytes(), 0)
    assert list(encoded(np.array([b"a"], object), as_content=True).string_val) == [b"a"]


def test_encoding_is_refused_when_tensorflow_has_no_such_dtype():
    with pytest.raises(ServingError) as caught:
        encode_tensor(np.array(["text"]), TensorProto())
    assert caught.value.code is Code.INTERNAL


AGREES_WITH_TENSORFLOW = """
import numpy as np, tensorflow as tf
from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.protos import TensorProto
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.options import LimitOptions
random = np.random.default_rng(7)
for row in DTYPES.values():
    for shape in [(), (1,), (2, 3), (0,), (2, 0)]:
        if row.name == "string":
            tensor = np.full(shape, b"abc", object)
        else:
            tensor = np.asarray(random.normal(size=shape) * 3).astype(np.float32).astype(row.numpy)
        reference = tf.constant(tensor, tf.dtypes.as_dtype(row.number), shape)
        ours = TensorProto()
        encode_tensor(tensor, ours)
        same = tf.io.parse_tensor(ours.SerializeToString(), row.number)
        assert same.shape == shape, (row, shape)
        # TensorFlow's own reader takes what we write, and we read what it writes, typed and as content.
        assert np.array(same.numpy(), row.numpy).tolist() == tensor.tolist(), (row, shape)
        protos = []
        if not row.name.startswith("float8"):  # TensorFlow writes these only in part
            protos.append(tf.make_tensor_proto(tensor, row.number, shape))
            protos.append(TensorProto.FromString(tf.io.serialize_tensor(reference).numpy()))
        for proto in protos:
            back = decode_tensor(proto, LimitOptions())
            assert back.dtype == row.numpy and back.shape == shape, (row, shape, back)
            assert back.tolist() == tensor.tolist(), (row, shape, back)
"""


def test_tensors_agree_with_tensorflow_when_it_reads_and_writes_them():
    """One real TensorFlow, every dtype and kind of shape, both directions."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AGREES_WITH_TENSORFLOW],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]


def test_bfloat16_is_ml_dtypes_own_when_decoded():
    decoded = decode_tensor(proto("bfloat16", (1,), half_val=[0x4000]), LIMITS)
    assert decoded.dtype == np.dtype(ml_dtypes.bfloat16)
    assert float(decoded[0]) == 2.0
