"""What bad REST bodies are told: the JSON parser, and every way in which a predict body can be wrong."""

from __future__ import annotations

import json

import pytest

from tests.contract.echo import DTYPES
from tests.contract.rest_requests import (
    PREDICT,
    refused,
)

# The JSON parser


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The document is empty"),
        (b"  \n", "The document is empty. at offset: 3"),
        (b"instances = [1, 2]", "Invalid value. at offset: 0"),
        (b"{1: 2}", "Missing a name for object member. at offset: 1"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b": 2}', "Missing a comma or '}' after an object member. at offset: 8"),
        (b'{"instances": [1 2]}', "Missing a comma or ']' after an array element. at offset: 17"),
        (b'{"a": "\\u00g0"}', "Incorrect hex digit after \\u escape in string. at offset: 7"),
        (b'{"a": "\\ud800x"}', "The surrogate pair in string is invalid. at offset: 7"),
        (b'{"a": "\\x"}', "Invalid escape character in string. at offset: 7"),
        (b'{"a": "\x01"}', "Invalid escape character in string. at offset: 7"),
        (b'{"a": "b', "Missing a closing quotation mark in string. at offset: 8"),
        (b'{"a": 1e999}', "Number too big to be stored in double. at offset: 6"),
        (b'{"a": 1.}', "Miss fraction part in number. at offset: 8"),
        (b'{"a": 1e}', "Miss exponent in number. at offset: 8"),
        (b"[1, 2,]", "Invalid value. at offset: 6"),
        (b'{"a": 1,}', "Missing a name for object member. at offset: 8"),
        (b"{'a': 1}", "Missing a name for object member. at offset: 1"),
        (b'{"a": +1}', "Invalid value. at offset: 6"),
        (b'{"a": .5}', "Invalid value. at offset: 6"),
        (b'{"a": 01}', "Missing a comma or '}' after an object member. at offset: 7"),
        (b"// c\n{}", "Invalid value. at offset: 0"),
    ],
)
def test_text_that_is_no_json_is_told_where(engine, body: bytes, text: str) -> None:
    assert refused(engine, body) == (400, f"JSON Parse error: {text}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [1.0]} and whatever follows',
        b'\xef\xbb\xbf{"instances": [1.0]}',
        b'{"instances": [1.0]}\0{',
        b'{"instances": [1.0], "unknown": {"deep": [null]}}',
        b'{"instances": [1.0], "instances": 3}',
        b'{"signature_name": "", "instances": [1.0]}',
        b'{"ignored": ' + b"[" * 5_000 + b"]" * 5_000 + b', "instances": [1.0]}',
        b'{"ignored": "\xff\xfe", "instances": [1]}',
    ],
    ids=["trailing", "bom", "nul", "unknown key", "first wins", "empty signature", "deep", "not utf-8"],
)
def test_liberty_that_upstream_s_parser_takes_is_taken(engine, body: bytes) -> None:
    answer = engine.rest.post(PREDICT, content=body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [2.5]})


def test_deep_signature_name_is_no_string(engine) -> None:
    body = b'{"signature_name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    status, message = refused(engine, body)
    assert (status, message[-44:]) == (400, "'signature_name' key must be a string value.")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("NaN", "NaN"),
        ("Inf", "Infinity"),
        ("Infinity", "Infinity"),
        ("-Inf", "-Infinity"),
        ("-Infinity", "-Infinity"),
        ("-0", "0.0"),
        ("-0.0", "-0.0"),
        ("1e3", "1000.0"),
        ("1435774380", "1.43577434e+09"),
        ("1435774380.0", "1.43577434e+09"),
        ("1.7976931348623157e308", "Infinity"),
        ("2.2250738585072014e-308", "0.0"),
        ("18446744073709551616", "1.84467441e+19"),
    ],
)
def test_number_is_read_as_upstream_reads_it(engine, text: str, printed: str) -> None:
    body = f'{{"signature_name": "same", "instances": [{text}]}}'
    (answer,) = json.loads(engine.rest.post("/v1/models/odd_outputs:predict", content=body).content)[
        "predictions"
    ]
    assert repr(answer) == repr(json.loads(printed))


# Predict bodies


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[1]", "JSON Value: [1] Is not object"),
        (
            '{"signature_name": 100, "instances": [1]}',
            'JSON Value: {\n    "signature_name": 100,\n    "instances": [1]\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        ("{}", "Missing 'inputs' or 'instances' key"),
        (
            '{"inputs": [1], "instances": [2]}',
            'JSON Value: {\n    "inputs": [1],\n    "instances": [2]\n} '
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            '{"instances": 1}',
            "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
        ),
        ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances": ["x", "y"]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: float',
        ),
        (
            '{"instances": [1, null]}',
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: null Type: Null is not of expected type: float",
        ),
        (
            '{"instances": [true]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            '{"instances": [false]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: false Type: False is not of expected type: float",
        ),
        (
            '{"instances": [{"b64": "AAAA"}]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: {\n    "b64": "AAAA"\n} Type: Object is not of expected type: float',
        ),
        (
            '{"instances": [{"y": 1}]}',
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: y",
        ),
        (
            '{"instances": [{}]}',
            "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: x",
        ),
        (
            '{"instances": [{"x": "a"}]}',
            "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1 of input list"),
        (
            '{"instances": [[1, 2], [3]]}',
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1",
        ),
        (
            '{"instances": [[[1, 2]], [[3], [4]]]}',
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [1,2] but got: [2,1]",
        ),
        (
            '{"instances": [[[1, 2], 3]]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            '{"inputs": [1, [2]]}',
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            '{"inputs": [[1, 2], [3]]}',
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ('{"inputs": "x"}', 'JSON Value: "x" Type: String is not of expected type: float'),
        ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
        ('{"inputs": {}}', "Missing named input: x in 'inputs' object."),
    ],
)
def test_predict_body_that_is_wrong_is_told_how(engine, body: str, message: str) -> None:
    assert refused(engine, body) == (400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"instances": [1, 2]}',
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"inputs": [1, 2]}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"inputs": {"b64": "AA=="}}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors required "
            "as per tensorinfo_map",
        ),
        (
            '{"instances": [{"a": [1, 2]}]}',
            "Failed to process element: 0 of 'instances' list. JSON object: "
            '{\n    "a": [1, 2]\n} keys must be equal to: a,b',
        ),
        (
            '{"instances": [{"a": [1, 2], "b": [1, 2], "c": 1}]}',
            "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: c",
        ),
        ('{"inputs": {"a": [[1, 2]]}}', "Missing named input: b in 'inputs' object."),
    ],
)
def test_model_of_two_inputs_needs_them_named(engine, body: str, message: str) -> None:
    assert refused(engine, body, "multi_io") == (400, message)


def test_extra_column_is_ignored(engine) -> None:
    body = '{"inputs": {"a": [[1, 2]], "b": [[3, 4]], "c": "whatever"}}'
    answer = engine.rest.post("/v1/models/multi_io:predict", content=body)
    assert answer.json()["outputs"]["sum"] == [[4.0, 6.0]]


def test_dtype_s_elements_are_typed(engine) -> None:
    """One input of each dtype, all others empty; what each accepts, and the text where it does not."""

    def told(dtype: str, value: str) -> tuple[int, str]:
        inputs = ", ".join(f'"{name}": {value if name == dtype else "[]"}' for name in DTYPES)
        answer = engine.rest.post("/v1/models/echo:predict", content=f'{{"inputs": {{{inputs}}}}}')
        return answer.status_code, answer.json().get("error", "")

    refusals = {
        "int32": ["1.0", "1e2", "true", "2147483648", '"1"'],
        "int16": ["1.5", "2147483648"],
        "int8": ["1.0"],
        "uint8": ["1.0"],
        "int64": ["9223372036854775808", "1.0"],
        "uint32": ["4294967296", "-1"],
        "uint64": ["18446744073709551616", "-1"],
        "bool": ["0", "1"],
        "string": ["1", "true"],
        "double": ['"1"', "null"],
    }
    kinds = {'"': "String", "n": "Null", "t": "True", "f": "False"}
    for dtype, values in refusals.items():
        for value in values:
            shown = {"1e2": "100.0", "18446744073709551616": "18446744073709552000.0"}.get(value, value)
            expected = (
                f"JSON Value: {shown} Type: {kinds.get(value[0], 'Number')} is not of expected type: {dtype}"
            )
            assert told(dtype, f"[{value}]") == (400, expected), (dtype, value)
    assert told("string", '[{"a": 1}]') == (
        400,
        'JSON Value: {\n    "a": 1\n} not formatted correctly for base64 data',
    )
    assert told("string", '[{"b64": "*"}]') == (400, "Unable to base64 decode")
    assert told("complex64", "[1]") == (501, "Conversion of JSON Value: 1 to type: complex64")


def test_dtype_that_json_lacks_is_400_in_a_row(engine) -> None:
    body = '{"instances": [{"complex64": 1}]}'
    status, message = refused(engine, body, "echo")
    assert status == 400
    assert message.startswith("Failed to process element: 0 ")


# Answers that cannot be written


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"signature_name": "scalar", "instances": [1]}', "Tensor name: y has no shape information "),
        ('{"signature_name": "scalar_beside", "instances": [1]}', "Tensor name: b has no shape information "),
        (
            '{"signature_name": "other_batch", "instances": [1]}',
            "Tensor name: b has inconsistent batch size: 2 expecting: 1",
        ),
        (
            '{"signature_name": "complex", "instances": [1]}',
            "Failed to write JSON value for tensor type: complex64",
        ),
        (
            '{"signature_name": "complex", "inputs": [1]}',
            "Failed to write JSON value for tensor type: complex64",
        ),
    ],
)
def test_answer_that_json_cannot_hold_is_400(engine, body: str, message: str) -> None:
    assert refused(engine, body, "odd_outputs") == (400, message)
