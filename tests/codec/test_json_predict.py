"""Predict bodies into tensors: both formats, every error text, and the quick way against the exact one."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest

from jupyter_tfserve.codec.json_predict import parse_predict
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from tests.codec.predict_bodies import LIMITS, bound, error, tensor

INVALID = Code.INVALID_ARGUMENT
NOT_FLOAT = "is not of expected type: float"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        (b"[1,2]", "JSON Value: [1, 2] Is not object"),
        (b'"a"', 'JSON Value: "a" Is not object'),
        (b"null", "JSON Value: null Is not object"),
        (b"NaN", "JSON Value:  Is not object"),
        (
            b'{"signature_name":5}',
            'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        (
            b'{"signature_name":null,"instances":[1]}',
            'JSON Value: {\n    "signature_name": null,\n    "instances": [1]\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
    ],
)
def test_parse_predict_refuses_before_the_model_is_known(body: bytes, message: str) -> None:
    with pytest.raises(ServingError) as raised:
        parse_predict(body, LIMITS)
    assert (raised.value.code, raised.value.message) == (INVALID, message)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"instances":[1]}', ""),
        (b'{"signature_name":"","instances":[1]}', ""),
        (b'{"signature_name":"a","signature_name":7}', "a"),
        (b'{"signature_name":"a\\u00e9","nested":' + b"[" * 5000 + b"]" * 5000 + b"}", "aé"),
    ],
)
def test_parse_predict_knows_the_signature_name(body: bytes, name: str) -> None:
    assert parse_predict(body, LIMITS).signature_name == name


def test_parse_predict_quotes_a_deeply_nested_signature_name() -> None:
    body = b'{"signature_name":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    with pytest.raises(ServingError, match="key must be a string value"):
        parse_predict(body, LIMITS)


@pytest.mark.parametrize(
    ("body", "dtypes", "message"),
    [
        ("{}", "x", "Missing 'inputs' or 'instances' key"),
        (
            '{"instances":[1],"inputs":[1]}',
            "x",
            'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting '
            "only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            '{"instances":1}',
            "x",
            "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
        ),
        (
            '{"instances":{"b64":"aGk="}}',
            "x",
            'JSON Value: {\n    "instances": {\n        "b64": "aGk="\n    }\n} '
            "Expecting 'instances' to be an list/array",
        ),
        ('{"instances":[]}', "x", "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances":[1]}',
            "xy",
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"inputs":[1]}',
            "xy",
            "inputs is a plain value/list, but expecting an object as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"inputs":{"b64":"aGk="}}',
            "xy",
            "inputs is a plain value/list, but expecting an object as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"instances":[{"x":1,"z":2}]}',
            "x",
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: z",
        ),
        (
            '{"instances":[{"x":1,"y":1},{"y":2}]}',
            "yx",
            "Failed to process element: 1 of 'instances' list. JSON object: {\n    \"y\": 2\n} "
            "keys must be equal to: x,y",
        ),
        ('{"instances":[{"x":1},2]}', "x", "Expecting object but got list at item 1 of input list"),
        (
            '{"instances":[{"x":1},{"b64":"aGk="}]}',
            "x",
            "Expecting object but got list at item 1 of input list",
        ),
        ('{"instances":[1,{"x":2}]}', "x", "Expecting value/list but got object at item 1 of input list"),
        ('{"inputs":{"y":1}}', "xy", "Missing named input: x in 'inputs' object."),
        (
            '{"instances":["x","y"]}',
            "x",
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            f'JSON Value: "x" Type: String {NOT_FLOAT}',
        ),
        (
            '{"instances":[{"x":1},{"x":null}]}',
            "x",
            "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
            f"JSON Value: null Type: Null {NOT_FLOAT}",
        ),
        (
            '{"instances":[[1,2],[3]]}',
            "x",
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1",
        ),
        (
            '{"instances":[[[1,2]],[[1],[2]]]}',
            "x",
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [1,2] but got: [2,1]",
        ),
        (
            '{"instances":[1,[2]]}',
            "x",
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [] but got: [1]",
        ),
        (
            '{"inputs":[[1],2]}',
            "x",
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        ('{"inputs":[1,[2]]}', "x", "Encountered list at unexpected level: 1 expected < 1"),
        (
            '{"inputs":[[1,2],[3]]}',
            "x",
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ('{"inputs":true}', "x", f"JSON Value: true Type: True {NOT_FLOAT}"),
        ('{"inputs":[false]}', "x", f"JSON Value: false Type: False {NOT_FLOAT}"),
        ('{"inputs":{"x":{}}}', "x", f"JSON Value: {{}} Type: Object {NOT_FLOAT}"),
        (
            '{"inputs":{"b64":"aGk="}}',
            "x",
            f'JSON Value: {{\n    "b64": "aGk="\n}} Type: Object {NOT_FLOAT}',
        ),
    ],
)
def test_bind_predict_words_the_error_as_tensorflow_serving(body: str, dtypes: str, message: str) -> None:
    assert error(body, **dict.fromkeys(dtypes, "float")) == (INVALID, message)


def test_repeated_name_in_an_instance_is_refused() -> None:
    assert error('{"instances":[{"x":1,"x":2}]}', x="float")[1].endswith("keys must be equal to: x")


@pytest.mark.parametrize(("name", "shown"), [("", "DEFAULT"), ("get_counter", "get_counter")])
def test_bind_predict_refuses_when_signature_has_no_inputs(name: str, shown: str) -> None:
    body = json.dumps({"signature_name": name, "inputs": {}})
    assert error(body) == (INVALID, f"Failed to get input map for signature: {shown}")


def test_bind_predict_checks_rank_against_what_numpy_holds() -> None:
    code, message = error('{"inputs":' + "[" * 40 + "1" + "]" * 40 + "}", x="float")
    assert (code, message) == (INVALID, "Tensor of rank 40 has more than the 32 dimensions allowed")


@pytest.mark.parametrize(
    ("dtype", "accepted", "refused"),
    [
        ("float", ["1", "1.5", "-0", "1e39", "18446744073709551615"], ["true", '"1"', "null"]),
        ("double", ["1", "1.5", "1e39"], ["false", '"1"', "null"]),
        ("half", ["1", "1.5"], ["true", '"1"']),
        ("bfloat16", ["1", "1.5"], ["true", "null"]),
        ("int8", ["127", "-128", "-0"], ["128", "-129", "1.0", "1e2", "true", "null"]),
        ("uint8", ["0", "255"], ["256", "-1", "1.0"]),
        ("int16", ["32767", "-32768"], ["32768", "1.0"]),
        ("uint16", ["0", "65535"], ["65536", "-1", "1.0", "true"]),
        ("int32", ["2147483647", "-2147483648"], ["2147483648", "1.7", "1.0", "1e2", "false"]),
        ("uint32", ["4294967295"], ["4294967296", "-1"]),
        ("int64", ["9223372036854775807", "-9223372036854775808"], ["9223372036854775808", "1.0"]),
        ("uint64", ["18446744073709551615"], ["18446744073709551616", "-1"]),
        ("bool", ["true", "false"], ["0", "1", '"true"', "null"]),
        ("string", ['"a"', '""'], ["1", "true", "null"]),
    ],
)
@pytest.mark.parametrize("size", [0, 5000], ids=["small", "buffered"])
def test_element_typing_takes_and_refuses_as_the_table_says(
    dtype: str, accepted: list[str], refused: list[str], size: int
) -> None:
    first = accepted[0]
    for literal in accepted:
        values = [first] * size + [literal]
        found = tensor(f'{{"inputs":[{",".join(values)}]}}', dtype)
        assert found.shape == (size + 1,)
        expected = json.loads(literal)
        with np.errstate(over="ignore"):
            assert found[-1] == (expected.encode() if dtype == "string" else np.array(expected, found.dtype))
    for literal in refused:
        values = [first] * size + [literal]
        code, message = error(f'{{"inputs":[{",".join(values)}]}}', x=dtype)
        assert code is INVALID
        assert message.startswith("JSON Value: ")
        assert message.endswith(f" is not of expected type: {dtype}")


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        ("null", "Null"),
        ("true", "True"),
        ("false", "False"),
        ("{}", "Object"),
        ('"a"', "String"),
        ("1.5", "Number"),
    ],
)
def test_type_mismatch_names_the_json_type(literal: str, kind: str) -> None:
    assert error(f'{{"inputs":{{"x":{literal}}}}}', x="int32")[1] == (
        f"JSON Value: {literal} Type: {kind} is not of expected type: int32"
    )


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "qint8", "variant"])
def test_dtype_without_json_is_unimplemented_in_columns_and_invalid_in_rows(dtype: str) -> None:
    message = f"Conversion of JSON Value: 1 to type: {dtype}"
    assert error('{"inputs":[1]}', x=dtype) == (Code.UNIMPLEMENTED, message)
    assert error('{"instances":[1]}', x=dtype) == (
        INVALID,
        f"Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: {message}",
    )


@pytest.mark.parametrize(
    ("body", "dtype", "expected"),
    [
        ('{"instances":[[1,2],[3,4],[5,6]]}', "int32", [[1, 2], [3, 4], [5, 6]]),
        ('{"instances":[{"x":[1,2]},{"x":[3,4]}]}', "int64", [[1, 2], [3, 4]]),
        ('{"instances":[1.0,2,5.5]}', "float", [1.0, 2.0, 5.5]),
        ('{"instances":[[]]}', "float", [[]]),
        ('{"instances":[[[]],[[]]]}', "int8", [[[]], [[]]]),
        ('{"instances":[{"b64":"aGVsbG8="},{"b64":"d29ybGQ"}]}', "string", [b"hello", b"world"]),
        (
            '{"instances":[{"x":[[{"b64":"aGVsbG8="}],[{"b64":"d29ybGQ="}]]}]}',
            "string",
            [[[b"hello"], [b"world"]]],
        ),
        ('{"instances":["a","\\u00e9\\u0000"]}', "string", [b"a", b"\xc3\xa9\0"]),
        ('{"instances":["a",{"b64":"aGk="}]}', "string", [b"a", b"hi"]),
        ('{"inputs":[[[1,2],[3,4],[5,6]]]}', "int32", [[[1, 2], [3, 4], [5, 6]]]),
        ('{"inputs":{"x":[[[1,2],[3,4],[5,6]]]}}', "int32", [[[1, 2], [3, 4], [5, 6]]]),
        ('{"inputs":{"x":2.5,"unknown":"a"}}', "float", 2.5),
        ('{"inputs":{"x":1,"x":2}}', "float", 1.0),
        ('{"inputs":7}', "uint8", 7),
        ('{"inputs":[]}', "double", []),
        ('{"inputs":[]}', "complex64", []),
        ('{"inputs":{"b64":"aGk="}}', "string", b"hi"),
        ('{"inputs":true}', "bool", True),
        ('{"instances":[1435774380]}', "float", [1435774336.0]),
        ('{"instances":[1435774380.0]}', "float", [1435774336.0]),
        ('{"instances":[1.7976931348623157e308,-1e39]}', "float", [math.inf, -math.inf]),
        ('{"instances":[2.2250738585072014e-308]}', "float", [0.0]),
        ('{"instances":[Infinity,-Infinity,1]}', "double", [math.inf, -math.inf, 1.0]),
        ('{"instances":[70000,1]}', "half", [math.inf, 1.0]),
        ('{"instances":[1],"instances":[2,3]} and more', "float", [1.0]),
        ('{"instances":[1],"output_filter":["y"]}', "float", [1.0]),
    ],
)
def test_bind_predict_builds_the_tensor(body: str, dtype: str, expected: object) -> None:
    found = tensor(body, dtype)
    assert found.tolist() == expected
    assert found.shape == np.array(expected, object if dtype == "string" else None).shape


def test_negative_zero_keeps_its_sign_only_when_written_as_a_decimal() -> None:
    assert np.signbit(tensor('{"inputs":[-0.0,-0]}', "float")).tolist() == [True, False]


def test_nan_reaches_the_tensor() -> None:
    assert np.isnan(tensor('{"instances":[NaN,1.0]}', "float")).tolist() == [True, False]


def test_dtypes_of_the_tensors_are_the_signature_s() -> None:
    tensors, is_row = bound(
        '{"instances":[{"a":1,"b":[1.5],"c":"s","d":true,"e":2}]}',
        a="int64", b="bfloat16", c="string", d="bool", e="uint16",
    )  # fmt: skip
    assert is_row
    assert {name: found.dtype for name, found in tensors.items()} == {
        "a": np.int64, "b": ml_dtypes.bfloat16, "c": np.object_, "d": np.bool_, "e": np.uint16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "is_row"), [('{"instances":[1]}', True), ('{"inputs":[1]}', False), ('{"inputs":[NaN]}', False)]
)
def test_bind_predict_tells_the_format(body: str, is_row: bool) -> None:
    assert bound(body, x="float")[1] is is_row


def test_several_inputs_bind_by_name_in_both_formats() -> None:
    rows, _ = bound('{"instances":[{"b":"u","a":[1]},{"a":[2],"b":"v"}]}', a="int32", b="string")
    columns, _ = bound('{"inputs":{"b":["u","v"],"a":[[1],[2]]}}', a="int32", b="string")
    for name in ("a", "b"):
        np.testing.assert_array_equal(rows[name], columns[name])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"inputs":{"x":{"b64":1}}}',
            'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
        ),
        ('{"inputs":[{}]}', "JSON Value: {} not formatted correctly for base64 data"),
        ('{"inputs":{"b64":"a"}}', "Unable to base64 decode"),
    ],
)
def test_base64_errors_are_tensorflow_serving_s(body: str, message: str) -> None:
    assert error(body, x="string") == (INVALID, message)


@pytest.mark.parametrize("count", [3, 5000])
@pytest.mark.parametrize("literal", ["1.5", "NaN"])
def test_max_tensor_bytes_is_named_when_a_tensor_is_larger(count: int, literal: str) -> None:
    body = f'{{"instances":[{",".join([literal] * count)}]}}'
    assert bound(body, LimitOptions(max_tensor_bytes=4 * count), x="float")
    with pytest.raises(ServingError) as raised:
        bound(body, LimitOptions(max_tensor_bytes=4 * count - 1), x="float")
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    assert raised.value.message == (
        f"Tensor of {4 * count} bytes is larger than max_tensor_bytes ({4 * count - 1})"
    )
