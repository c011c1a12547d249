"""Whatever the document, the fast ways to bind it do what the exact walk does."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec import json_buffers, json_reader
from jupyter_tfserve.codec.json_rows import bind_columns, bind_rows
from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.errors import ServingError
from tests.codec.predict_bodies import LIMITS, bound, signature, tensor

NUMBERS = ["0", "1", "-1", "1.5", "2.0", "300", "-0", "1e2", "1e39", "70000", "9223372036854775808"]
OTHERS = ["true", "null", '"a"', '{"b64":"aGk="}', '{"b64":"aGk"}', "{}", "NaN", '{"a":1}']
LITERALS = st.sampled_from(NUMBERS + OTHERS)
REGULAR = st.tuples(st.lists(st.integers(0, 3), max_size=3), st.lists(LITERALS, min_size=1, max_size=2)).map(
    lambda drawn: regular_text(*drawn)
)
VALUES = REGULAR | st.recursive(
    LITERALS,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
    max_leaves=6,
)
MEMBERS = st.lists(st.tuples(st.sampled_from("ab"), VALUES), max_size=3).map(
    lambda pairs: "{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}"
)
ROW_LISTS = st.lists(MEMBERS | VALUES, max_size=3).map(lambda rows: f"[{','.join(rows)}]")


def regular_text(shape: list[int], literals: list[str]) -> str:
    """A regular array in which all elements but the last are the first literal."""
    elements = [literals[0]] * (math.prod(shape) - 1) + [literals[-1]]
    for axis in reversed(range(len(shape))):
        size = shape[axis]
        elements = [
            f"[{','.join(elements[at * size : (at + 1) * size])}]" for at in range(math.prod(shape[:axis]))
        ]
    return elements[0]


def outcome(bind: object, *arguments: object) -> object:
    """What a bind did, in a form that can be compared to the bit."""
    try:
        tensors = bind(*arguments)  # type: ignore[operator]
    except ServingError as failed:
        return failed.code, failed.message
    return {
        name: (found.dtype, found.shape, found.tolist() if found.dtype == object else found.tobytes())
        for name, found in tensors.items()
    }


DTYPE = st.sampled_from(
    ["float", "double", "half", "int8", "int32", "int64", "uint16", "uint64", "bool", "string"]
)


@given(st.sampled_from(["instances", "inputs"]), VALUES | MEMBERS | ROW_LISTS, DTYPE, DTYPE, st.booleans())
def test_bind_predict_is_the_exact_walk_whatever_the_document(
    key: str, value: str, first: str, second: str, is_single: bool
) -> None:
    """orjson or simdjson and whole lists, against the exact parser and the walk that words the errors."""
    body = f'{{"{key}":{value}}}'.encode()
    dtypes = {"a": first} if is_single else {"a": first, "b": second}
    exact = bind_rows if key == "instances" else bind_columns
    expected = outcome(exact, parse_json(body), signature(**dtypes), LIMITS.max_tensor_bytes)
    assert outcome(lambda: bound(body, **dtypes)[0]) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "BUFFER_BYTES", 0)
        patch.setattr(json_reader, "_FEW_QUOTES", 10**9)
        patch.setattr(json_buffers, "MIN_BYTES_PER_ARRAY", 1)
        assert outcome(lambda: bound(body, **dtypes)[0]) == expected


@given(st.lists(st.floats(width=64), min_size=1), st.sampled_from(["float", "double", "half"]))
def test_floats_are_cast_from_doubles_as_numpy_does(values: list[float], dtype: str) -> None:
    found = tensor(json.dumps({"instances": values}), dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, np.array(values, np.float64).astype(found.dtype))
