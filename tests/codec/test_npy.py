"""numpy's files as request bodies: what numpy writes is read, what is claimed is checked, nothing is unpickled."""

from __future__ import annotations

import contextlib
import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from jupyter_tfserve.codec.dtypes import DTYPES, STRING
from jupyter_tfserve.codec.npy import bind_arrays, encode_npy, encode_npz, fitted, parse_npy, parse_npz
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Signature, TensorSpec

MANY = 2**40
NUMERIC = [row for row in DTYPES.values() if row is not STRING]


def saved(array: Any, save: Callable[..., None] = np.save, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, *([] if array is None else [array]), **arrays)
    return file.getvalue()


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], TensorSpec]:
    row = draw(st.sampled_from(NUMERIC))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    content = draw(npst.arrays(np.uint8, (*shape, row.numpy.itemsize)))
    if row.name == "bool":
        content = content & 1
    return np.frombuffer(content.tobytes(), row.numpy).reshape(shape), TensorSpec("", row.name, None)


@given(tensors())
def test_tensor_comes_back_when_written_by_us_or_by_numpy(pair: Any) -> None:
    tensor, spec = pair
    # What numpy writes of an 8-bit float it does not read itself.
    for body in (encode_npy(tensor), *([] if spec.dtype.startswith("float8") else [saved(tensor)])):
        back = fitted(parse_npy(body, MANY), spec)
        assert (back.dtype, back.shape, back.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


@given(tensors())
def test_numpy_reads_what_is_written_here(pair: Any) -> None:
    tensor, spec = pair
    alone = np.load(io.BytesIO(encode_npy(tensor)), allow_pickle=False)
    named = np.load(io.BytesIO(encode_npz({"a/b": tensor, "é": tensor})), allow_pickle=False)
    assert fitted(alone, spec).tobytes() == fitted(named["a/b"], spec).tobytes() == tensor.tobytes()
    assert sorted(named) == ["a/b", "é"]
    assert alone.shape == tensor.shape


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i8", ">c8", "?"])
def test_foreign_order_and_fortran_layout_are_read(dtype: str) -> None:
    array = np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype(dtype))
    back = parse_npy(saved(array), MANY)
    assert back.dtype.isnative
    assert back.flags.c_contiguous
    assert back.tolist() == array.tolist()


def test_any_byte_of_a_truth_is_true() -> None:
    body = bytearray(saved(np.array([False, True])))
    body[-1] = 7
    assert parse_npy(bytes(body), MANY).view(np.uint8).tolist() == [0, 1]


class Loud:
    def __reduce__(self) -> Any:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    "array", [np.array([Loud()], object), np.array([b"a"]), np.array(["a"]), np.zeros(1, [("x", "i4")])]
)
def test_what_is_no_number_is_refused_and_never_unpickled(array: Any) -> None:
    for parse, body in ((parse_npy, saved(array)), (parse_npz, saved(None, np.savez, x=array))):
        with pytest.raises(ServingError, match="which cannot be a tensor here") as caught:
            parse(body, MANY)
        assert caught.value.code is Code.INVALID_ARGUMENT


WHOLE = saved(np.arange(3.0))
ARCHIVE = saved(None, np.savez_compressed, x=np.arange(3.0))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", pickle.dumps(1), WHOLE[:-1], WHOLE + b"x", WHOLE[:20], WHOLE.replace(b"(3,)", b"(9,)")],
)
def test_broken_file_is_refused(body: bytes) -> None:
    with pytest.raises(ServingError) as caught:
        parse_npy(body, MANY)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("shape", ["-1,-3", "2**9", "9" * 30 + ",", "9" * 18 + "," + "9" * 18])
def test_impossible_shape_is_refused(shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}".ljust(117).encode() + b"\n"
    with pytest.raises(ServingError) as caught:
        parse_npy(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header, MANY)
    assert caught.value.code in (Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED)


@given(st.sampled_from([b"", WHOLE[:10], WHOLE[:40], ARCHIVE[:30], ARCHIVE]), st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(opening: bytes, rest: bytes) -> None:
    for parse in (parse_npy, parse_npz):
        with contextlib.suppress(ServingError):
            parse(opening + rest, 1000)


def test_limit_counts_all_tensors_and_is_exact() -> None:
    arrays = {"x": np.zeros(10), "y": np.zeros(5)}
    assert parse_npz(saved(None, np.savez, **arrays), 120).keys() == {"x", "y"}
    for parse, body, limit in (
        (parse_npz, saved(None, np.savez, **arrays), 119),
        (parse_npy, saved(np.zeros(10)), 79),
    ):
        with pytest.raises(ServingError, match="max_tensor_bytes") as caught:
            parse(body, limit)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_bomb_costs_no_more_than_the_limit() -> None:
    bomb = saved(None, np.savez_compressed, x=np.zeros(2**25, np.uint8))
    tracemalloc.start()
    try:
        with pytest.raises(ServingError, match="max_tensor_bytes"):
            parse_npz(bomb, 2**20)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_archive_with_other_files_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(ServingError, match=r"one NAME.npy for each input"):
        parse_npz(file.getvalue(), MANY)


X, Y = TensorSpec("x:0", "float", (-1,)), TensorSpec("y:0", "bfloat16", (-1,))


@pytest.mark.parametrize(
    ("arrays", "inputs", "error"),
    [
        ({"": np.zeros(1)}, {"x": X}, "Input x is expected to be float, but double is provided"),
        ({"": np.zeros(1, np.float32)}, {"x": X, "y": Y}, "A .npy body is one tensor"),
        ({"z": np.zeros(1)}, {"x": X}, "The signature has no input z"),
        ({}, {"x": X}, "The input x is missing"),
        ({"y": np.zeros(1, "V4")}, {"y": Y}, "Input y is expected to be bfloat16"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays: Any, inputs: Any, error: str) -> None:
    with pytest.raises(ServingError, match=error) as caught:
        bind_arrays(arrays, Signature("", inputs, {}))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.hint


def test_defaults_fill_in_and_bare_bytes_get_their_type() -> None:
    default = np.zeros(1, np.float32)
    given_y = np.array([1.5], ml_dtypes.bfloat16)
    bound = bind_arrays({"y": given_y.view("V2")}, Signature("", {"x": X, "y": Y}, {}, {"x": default}))
    assert bound["x"] is default
    assert bound["y"].dtype == ml_dtypes.bfloat16
    assert bound["y"].tolist() == [1.5]


def test_strings_are_refused_as_an_answer() -> None:
    with pytest.raises(ServingError) as caught:
        encode_npy(np.array([b"a"], object))
    assert caught.value.code is Code.UNIMPLEMENTED
