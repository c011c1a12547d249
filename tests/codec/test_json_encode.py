"""Predict answers: TensorFlow Serving's values and errors."""

from __future__ import annotations

import json
import math
import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_encode import encode_predict
from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensor


def array(values: object, dtype: object) -> Tensor:
    return np.array(values, dtype)  # type: ignore[call-overload,no-any-return]


def without_white_space(body: bytes) -> bytes:
    """REQUIRES: no white space in strings."""
    return re.sub(rb"\s", b"", body)


@pytest.mark.parametrize(
    ("outputs", "row_format", "body"),
    [
        ({"y": array([2.5, 3.0, 4.5], "f4")}, True, b'{"predictions":[2.5,3.0,4.5]}'),
        ({"y": array([[1, 2], [3, 4]], "f4")}, True, b'{"predictions":[[1.0,2.0],[3.0,4.0]]}'),
        ({"y": array([3.5, 4.0], "f4")}, False, b'{"outputs":[3.5,4.0]}'),
        ({"y": array(5.0, "f4")}, False, b'{"outputs":5.0}'),
        ({"y": array(1 / 3, "f8")}, False, b'{"outputs":0.33333333333333331}'),
        ({"y": array([1 / 3, 0.1, -0.0], "f4")}, False, b'{"outputs":[0.333333343,0.1,-0.0]}'),
        (
            {"a": array([1], "i4"), "b": array([b"x"], object)},
            False,
            b'{"outputs":{"a":[1],"b":["x"]}}',
        ),
        (
            {"b": array([b"x", b"y"], object), "a": array([[1, 2], [3, 4]], "i8")},
            True,
            b'{"predictions":[{"a":[1,2],"b":"x"},{"a":[3,4],"b":"y"}]}',
        ),
        (
            {"y_bytes": array([b"hi", b"yo"], object)},
            True,
            b'{"predictions":[{"b64":"aGk="},{"b64":"eW8="}]}',
        ),
        ({"y_bytes": array([1], "i4")}, True, b'{"predictions":[1]}'),
        ({"y": array(b"hi", object)}, False, b'{"outputs":"hi"}'),
        ({"y": np.zeros((0, 3), "f4")}, True, b'{"predictions":[]}'),
        ({"y": np.zeros((0,), object)}, True, b'{"predictions":[]}'),
        ({"a": np.zeros((0, 2), "f4"), "b": np.zeros((0,), object)}, True, b'{"predictions":[]}'),
        ({"y": np.zeros((2, 0), "f4")}, True, b'{"predictions":[[],[]]}'),
        ({"y": np.zeros((2, 0), object)}, True, b'{"predictions":[[],[]]}'),
        (
            {"a": np.zeros((2, 0, 3), "f4"), "b": array([1, 2], "u1")},
            True,
            b'{"predictions":[{"a":[],"b":1},{"a":[],"b":2}]}',
        ),
        ({"y": array([True, False], "?")}, True, b'{"predictions":[true,false]}'),
        (
            {"y": array([2**64 - 1, 2**53 + 1], "u8")},
            True,
            b'{"predictions":[18446744073709551615,9007199254740993]}',
        ),
        ({"y": array([-(2**63)], "i8")}, True, b'{"predictions":[-9223372036854775808]}'),
        ({"y": array([-1], "i1")}, False, b'{"outputs":[-1]}'),
        (
            {"y": array([np.nan, np.inf, 3, -np.inf], "f4")},
            True,
            b'{"predictions":[NaN,Infinity,3.0,-Infinity]}',
        ),
        ({"y": array(np.nan, "f8")}, False, b'{"outputs":NaN}'),
        (
            {"a": array([[1.5, np.nan], [np.inf, 2]], "f8"), "b": array([b"null", b"q"], object)},
            True,
            b'{"predictions":[{"a":[1.5,NaN],"b":"null"},{"a":[Infinity,2.0],"b":"q"}]}',
        ),
        ({"y": array([0.5, 70000], ml_dtypes.bfloat16)}, True, b'{"predictions":[0.5,70144.0]}'),
        ({"y": array([0.5, np.inf], "f2")}, True, b'{"predictions":[0.5,Infinity]}'),
        ({"y": array([65535], "u2")}, True, b'{"predictions":[65535]}'),
        ({"y": array([b'"\\\n\x01/\xff'], object)}, True, b'{"predictions":["\\"\\\\\\n\\u0001/\xff"]}'),
        ({'a"': array([1], "i4"), "b": array([2], "i4")}, False, b'{"outputs":{"a\\"":[1],"b":[2]}}'),
    ],
)
def test_encode_predict_writes_the_values(outputs: dict[str, Tensor], row_format: bool, body: bytes) -> None:
    assert without_white_space(encode_predict(outputs, row_format)) == body


LAYOUTS = [
    ({"y": array([2.5, 3.0, 4.5], "f4")}, True, '"predictions": [2.5, 3.0, 4.5\n    ]'),
    ({"y": array([[1, 2], [3, 4]], "f4")}, True, '"predictions": [[1.0, 2.0], [3.0, 4.0]\n    ]'),
    ({"y": array([[1, 2], [3, 4]], "i4")}, True, '"predictions": [[1, 2], [3, 4]\n    ]'),
    (
        {"a": array([[1, 2], [3, 4]], "i4"), "b": array([b"x", b"y"], object)},
        True,
        '"predictions": [\n        {\n            "a": [1, 2],\n            "b": "x"\n        },\n        {\n'
        '            "a": [3, 4],\n            "b": "y"\n        }\n    ]',
    ),
    (
        {"y_bytes": array([b"hi", b"yo"], object)},
        True,
        '"predictions": [{\n            "b64": "aGk="\n        }, {\n            "b64": "eW8="\n        }\n    ]',
    ),
    (
        {"y_bytes": array([[b"hi"]], object), "z": array([1.5], "f4")},
        True,
        '"predictions": [\n        {\n            "y_bytes": [{\n                    "b64": "aGk="\n'
        '                }],\n            "z": 1.5\n        }\n    ]',
    ),
    ({"y": np.zeros((0, 3), "f4")}, True, '"predictions": []'),
    ({"a": np.zeros((0,), "f4"), "b": np.zeros((0,), "f4")}, True, '"predictions": []'),
    ({"y": array([3.5, 4.0], "f4")}, False, '"outputs": [\n        3.5,\n        4.0\n    ]'),
    ({"y": array(5.0, "f4")}, False, '"outputs": 5.0'),
    ({"y_bytes": array(b"hi", object)}, False, '"outputs": {\n        "b64": "aGk="\n    }'),
    (
        {"a": array([1], "i4"), "b": array([b"x"], object)},
        False,
        '"outputs": {\n        "a": [\n            1\n        ],\n        "b": [\n            "x"\n        ]\n    }',
    ),
    ({"y": np.zeros((2, 0), "i4")}, False, '"outputs": [\n        [],\n        []\n    ]'),
]


@pytest.mark.parametrize(("outputs", "row_format", "member"), LAYOUTS)
def test_encode_predict_lays_the_body_out_as_upstream(
    outputs: dict[str, Tensor], row_format: bool, member: str
) -> None:
    assert encode_predict(outputs, row_format).decode() == "{\n    " + member + "\n}"


def spread(value: object, level: int) -> str:
    """rapidjson's PrettyWriter on lists of whole numbers, written as plainly as can be."""
    if not isinstance(value, list):
        return str(value)
    if not value:
        return "[]"
    inner = "\n" + "    " * (level + 1)
    return "[" + ",".join(inner + spread(item, level + 1) for item in value) + "\n" + "    " * level + "]"


@given(st.lists(st.integers(0, 3), max_size=4).map(tuple), st.sampled_from(["i4", "f4"]))
def test_columns_are_spread_whatever_their_shape(shape: tuple[int, ...], dtype: str) -> None:
    tensor = np.arange(math.prod(shape), dtype=dtype).reshape(shape)
    expected = '{\n    "outputs": ' + spread(tensor.tolist(), 1) + "\n}"
    assert encode_predict({"y": tensor}, False).decode() == expected


def test_large_tensors_have_no_white_space() -> None:
    values = np.arange(5000, dtype="i4").reshape(50, 100)
    text = json.dumps(values.tolist(), separators=(",", ":"))
    assert encode_predict({"y": values}, False).decode() == '{\n    "outputs": ' + text + "\n}"
    assert json.loads(encode_predict({"y": values, "z": values[:, :1]}, True))["predictions"][1] == {
        "y": values[1].tolist(),
        "z": values[1, :1].tolist(),
    }


@pytest.mark.parametrize("shape", [(40_000,), (1, 40_000), (3, 20_000), (2, 9, 1821), (20_000, 2), (2, 0, 9)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_text_is_the_same_when_it_is_made_in_pieces(shape: tuple[int, ...], dtype: str) -> None:
    numbers = np.arange(math.prod(shape)) % 1013 / 4
    if dtype.startswith("f"):
        numbers[::997] = np.nan
    tensor = numbers.astype(dtype).reshape(shape)
    body = json.loads(encode_predict({"y": tensor}, True))
    np.testing.assert_array_equal(np.array(body["predictions"], dtype).reshape(shape), tensor)
    # Without white space from the first row's bracket to the last one's.
    assert tensor.size == 0 or b", " not in encode_predict({"y": tensor}, False)


def test_numbers_are_spelled_as_upstream() -> None:
    values = array([9e6, 999999, 0.5, 3e-4, 3e-5, 555557.5, 1e6, 1234567, 123456.7, 1e-5, 1e20, -0.0], "f4")
    doubles = array([1 / 3, 9e6, 1e-5, 0.1, 2.0**53, np.nan, -np.inf], "f8")
    assert encode_predict({"y": values}, True).decode() == (
        '{\n    "predictions": [9e+06, 999999.0, 0.5, 0.0003, 3e-05, 555557.5, 1e+06, 1234567.0, 123456.703, 1e-05, '
        "1e+20, -0.0\n    ]\n}"
    )
    assert encode_predict({"y": doubles}, True).decode() == (
        '{\n    "predictions": [0.33333333333333331, 9e+06, 1e-05, 0.1, 9007199254740992.0, NaN, -Infinity\n    ]\n}'
    )


@given(st.lists(st.floats(width=32), min_size=1, max_size=12))
def test_values_are_the_same_when_a_tensor_is_too_large_to_spell(values: list[float]) -> None:
    """The loop over few numbers and the array at a time give texts of the same double."""
    few = array(values, "f4")
    many = np.resize(few, 100)
    spelled = parse_json(encode_predict({"y": few}, True))
    encoded = parse_json(encode_predict({"y": many}, True))
    assert equal(encoded["predictions"][: len(values)], spelled["predictions"])  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("outputs", "row_format", "message"),
    [
        ({}, True, "Cannot convert empty tensor map to JSON"),
        ({}, False, "Cannot convert empty tensor map to JSON"),
        ({"y": array([1], "c8")}, True, "Failed to write JSON value for tensor type: complex64"),
        ({"y": array([1], "c16")}, False, "Failed to write JSON value for tensor type: complex128"),
        ({"y": array(1, "f4")}, True, "Tensor name: y has no shape information "),
        (
            {"a": array([1], "f4"), "b": array([1, 2], "f4")},
            True,
            "Tensor name: b has inconsistent batch size: 2 expecting: 1",
        ),
        (
            {"a": np.zeros((0,), "f4"), "b": array([1], "f4")},
            True,
            "Tensor name: b has inconsistent batch size: 1 expecting: 0",
        ),
    ],
)
def test_encode_predict_words_the_error_as_tensorflow_serving(
    outputs: dict[str, Tensor], row_format: bool, message: str
) -> None:
    with pytest.raises(ServingError) as raised:
        encode_predict(outputs, row_format)
    assert (raised.value.code, raised.value.message) == (Code.INVALID_ARGUMENT, message)


def test_encode_predict_takes_views_that_are_not_contiguous() -> None:
    for dtype in ("f4", "f8", "i8"):
        values = np.arange(40, dtype=dtype).reshape(8, 5)
        assert json.loads(encode_predict({"y": values.T[::2]}, True))["predictions"] == values.T[::2].tolist()


SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
DTYPES = st.sampled_from(["f4", "f8", "f2", "i1", "i8", "u8", "?", "S"])


def filled(shape: tuple[int, ...], dtype: str, seed: int) -> Tensor:
    """An array of random contents, with NaN or infinities among the floats."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 100, shape)
    if dtype == "S":
        return np.vectorize(lambda number: b"]," * (number % 3) + b"x%d" % number, otypes=[object])(bits)
    if dtype.startswith("f"):
        return np.asarray(np.where(bits % 7 == 0, random.choice([np.nan, np.inf]), bits / 64), dtype)
    return bits.astype(dtype)


def equal(found: object, expected: object) -> bool:
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(equal, found, expected))
    if isinstance(expected, bytes):
        return found == expected.decode()
    if isinstance(expected, float):
        return isinstance(found, float) and (
            found == expected or (math.isnan(found) and math.isnan(expected))
        )
    return found == expected and type(found) is type(expected)


@given(SHAPES, st.lists(DTYPES, min_size=1, max_size=3), st.integers(0, 99))
def test_both_formats_say_the_same_as_the_arrays(
    shape: tuple[int, ...], dtypes: list[str], seed: int
) -> None:
    """The floats have nine significant digits at most, so that they come back as they are."""
    outputs = {f"o{i}": filled(shape, dtype, seed + i) for i, dtype in enumerate(dtypes)}
    columns = parse_json(encode_predict(outputs, False))
    rows = parse_json(encode_predict(outputs, True))
    assert isinstance(columns, dict)
    assert isinstance(rows, dict)
    predictions = rows["predictions"]
    assert isinstance(predictions, list)
    for name, tensor in outputs.items():
        single = len(outputs) == 1
        column = columns["outputs"] if single else columns["outputs"][name]  # type: ignore[index,call-overload]
        assert equal(column, tensor.tolist())
        row_values = predictions if single else [row[name] for row in predictions]  # type: ignore[index,call-overload]
        assert equal(row_values, tensor.tolist())
