"""json_examples: classify and regress bodies into Examples, and the answers."""

from __future__ import annotations

import base64
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.classification import Classifications
from jupyter_tfserve.codec.json_examples import encode_classify, encode_regress, parse_examples
from jupyter_tfserve.codec.json_reader import BUFFER_BYTES
from jupyter_tfserve.codec.protos import Example
from jupyter_tfserve.codec.regression import Regressions
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions

LIMITS = LimitOptions()


def features(serialized: bytes) -> dict[str, tuple[str | None, list]]:
    """Each feature's kind and values."""
    example = Example.FromString(serialized)
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = (kind, list(getattr(feature, kind).value) if kind else [])
    return found


def only(body: str | bytes) -> dict[str, tuple[str | None, list]]:
    text = body if isinstance(body, bytes) else body.encode()
    (example,) = parse_examples(text, LIMITS).input.examples
    return features(example)


def refusal(body: str | bytes) -> str:
    with pytest.raises(ServingError) as caught:
        parse_examples(body if isinstance(body, bytes) else body.encode(), LIMITS)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


def test_examples_and_signature_are_read_when_both_are_given():
    document = parse_examples(b'{"signature_name": "s", "examples": [{"x": 80.0}, {"x": [1, 2]}]}', LIMITS)
    assert document.signature_name == "s"
    assert document.input.context == b""
    first, second = document.input.examples
    assert features(first) == {"x": ("float_list", [80.0])}
    assert features(second) == {"x": ("int64_list", [1, 2])}


def test_context_is_read_when_given():
    document = parse_examples(b'{"context": {"a": "b"}, "examples": [{}]}', LIMITS)
    assert features(document.input.context) == {"a": ("bytes_list", [b"b"])}
    assert document.signature_name == ""
    assert [features(example) for example in document.input.examples] == [{}]


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("2", ("int64_list", [2])),
        ("-0", ("int64_list", [0])),
        ("true", ("int64_list", [1])),
        ("[false, 3, true]", ("int64_list", [0, 3, 1])),
        ("9223372036854775807", ("int64_list", [2**63 - 1])),
        ("-9223372036854775808", ("int64_list", [-(2**63)])),
        ("18446744073709551616", ("float_list", [2.0**64])),
        ("-9223372036854775809", ("float_list", [-(2.0**63)])),
        ("2.0", ("float_list", [2.0])),
        ("1e3", ("float_list", [1000.0])),
        ("[1e39, -1e39, 1e-60]", ("float_list", [math.inf, -math.inf, 0.0])),
        ("[Infinity, -Infinity, 0.5]", ("float_list", [math.inf, -math.inf, 0.5])),
        ('"text"', ("bytes_list", [b"text"])),
        ('["a", {"b64": "aGk="}]', ("bytes_list", [b"a", b"hi"])),
        ('{"b64": "/w"}', ("bytes_list", [b"\xff"])),
        ("[]", (None, [])),
    ],
)
def test_feature_has_the_kind_of_its_json_spelling_when_parsed(element, expected):
    assert only('{"examples": [{"x": ' + element + "}]}")["x"] == expected


def test_nan_is_a_float_when_written_as_a_token():
    kind, (value,) = only('{"examples": [{"x": NaN}]}')["x"]
    assert kind == "float_list"
    assert math.isnan(value)


def test_bytes_that_are_no_text_stay_as_they_are_when_sent_raw():
    assert only(b'{"examples": [{"x": "\xff\xfe"}]}')["x"] == ("bytes_list", [b"\xff\xfe"])


def test_last_value_counts_when_a_feature_is_repeated():
    assert only('{"examples": [{"x": "a", "x": [1.5]}]}') == {"x": ("float_list", [1.5])}


def test_first_value_counts_when_a_top_level_key_is_repeated():
    document = parse_examples(b'{"examples": [{"x": 1}], "examples": 3, "other": null}', LIMITS)
    assert len(document.input.examples) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("examples = []", "JSON Parse error: Invalid value. at offset: 0"),
        ("[1, 2]", "JSON Value: [1, 2] Is not object"),
        (
            '{"signature_name": 5}',
            'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        (
            '{"instances": [1]}',
            'JSON Value: {\n    "instances": [1]\n} When method is classify, '
            "key 'examples' is expected and was not found",
        ),
        (
            '{"examples": 1}',
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{}, [1]]}', "Example must be JSON object but got JSON Array"),
        ('{"context": null, "examples": [{}]}', "Example must be JSON object but got JSON Null"),
        ('{"examples": [{"f": null}]}', "Feature: f has element with unexpected JSON type: Null"),
        ('{"examples": [{"f": [[1]]}]}', "Feature: f has element with unexpected JSON type: Array"),
        ('{"examples": [{"f": {"a": 1}}]}', "Feature: f has element with unexpected JSON type: Object"),
        ('{"examples": [{"f": [1, null]}]}', "Feature: f has element with unexpected JSON type: Null"),
        (
            '{"examples": [{"f": 9223372036854775808}]}',
            "Feature: f has uint64_t element. Only int64_t is supported.",
        ),
        (
            '{"examples": [{"f": [1, true, 18446744073709551615]}]}',
            "Feature: f has uint64_t element. Only int64_t is supported.",
        ),
        ('{"examples": [{"f": [1, 2.0]}]}', "Unexpected element type in feature: f expecting type: int64"),
        ('{"examples": [{"f": [2.0, 1]}]}', "Unexpected element type in feature: f expecting type: float"),
        ('{"examples": [{"f": ["a", 1]}]}', "Unexpected element type in feature: f expecting type: bytes"),
        ('{"examples": [{"f": {"b64": "$"}}]}', "Unable to base64 decode"),
        (b'{"examples": [{"\xff": 1}]}', "The name of a feature is not valid UTF-8"),
    ],
)
def test_body_is_refused_in_upstreams_words_when_wrong(body, message):
    assert refusal(body) == message


def test_mixed_numbers_are_refused_when_the_body_is_large():
    """The quick reader for large bodies would have made doubles of them all."""
    numbers = ", ".join(["1.5"] * BUFFER_BYTES)
    assert refusal('{"examples": [{"f": [' + numbers + ", 1]}]}") == (
        "Unexpected element type in feature: f expecting type: float"
    )


def test_depth_is_bounded_when_a_limit_is_set():
    with pytest.raises(ServingError) as caught:
        parse_examples(b'{"examples": [{"x": [[[1]]]}]}', LimitOptions(max_json_depth=3))
    assert "max_json_depth (3)" in caught.value.message


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
doubles = st.floats(width=32).filter(lambda value: not math.isnan(value))
lists = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    st.lists(doubles, min_size=1, max_size=5),
    st.lists(texts, min_size=1, max_size=5),
)


@given(st.lists(st.dictionaries(texts, lists, max_size=4), min_size=1, max_size=5))
def test_every_value_arrives_when_sent_as_python_would_write_it(examples):
    body = json.dumps({"examples": examples}).encode()
    parsed = parse_examples(body, LIMITS).input.examples
    sent = [
        {
            name: [value.encode() if isinstance(value, str) else value for value in values]
            for name, values in example.items()
        }
        for example in examples
    ]
    assert [{name: values for name, (_, values) in features(example).items()} for example in parsed] == sent


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_bytes_arrive_when_sent_as_base64(values):
    elements = [{"b64": base64.b64encode(value).decode()} for value in values]
    body = json.dumps({"examples": [{"x": elements}]})
    assert only(body)["x"] == ("bytes_list", values)


def labels(*rows):
    return np.array(rows, object)


def floats(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("classifications", "results"),
    [
        (Classifications(None, floats([12.0])), b'[[["", 12.0]]]'),
        (
            Classifications(labels([b"a", b"b"], [b'"', b"\xff"]), floats([0.2, 0.7], [1e6, 1 / 3])),
            b'[[["a", 0.2], ["b", 0.7]], [["\\"", 1e+06], ["\xff", 0.333333343]]]',
        ),
        (Classifications(labels([b"a"]), None), b'[[["a", 0.0]]]'),
        (
            Classifications(None, floats([np.nan, np.inf], [-np.inf, -0.0])),
            b'[[["", NaN], ["", Infinity]], [["", -Infinity], ["", -0.0]]]',
        ),
        (Classifications(None, np.zeros((2, 0), np.float32)), b"[[], []]"),
    ],
)
def test_classify_body_pairs_labels_with_scores_when_encoded(classifications, results):
    assert encode_classify(classifications) == b'{\n    "results": ' + results[:-1] + b"\n    ]\n}"


@pytest.mark.parametrize(
    ("values", "results"),
    [
        (floats(3.5, 4.0), b"[3.5, 4.0]"),
        (floats(0.1, np.nan, np.inf, -np.inf), b"[0.1, NaN, Infinity, -Infinity]"),
    ],
)
def test_regress_body_lists_the_values_when_encoded(values, results):
    assert encode_regress(Regressions(values)) == b'{\n    "results": ' + results + b"\n}"


def test_empty_results_are_refused_when_encoded():
    with pytest.raises(ServingError, match="Cannot convert empty ClassificationResults to JSON"):
        encode_classify(Classifications(None, np.zeros((0, 2), np.float32)))
    with pytest.raises(ServingError, match="Cannot convert empty ClassificationResults to JSON"):
        encode_classify(Classifications(None, None))
    with pytest.raises(ServingError, match="Cannot convert empty RegressionResults to JSON"):
        encode_regress(Regressions(np.zeros(0, np.float32)))


@given(st.lists(st.floats(width=32), min_size=1, max_size=90))
def test_every_float_comes_back_when_regressions_are_read_again(values):
    tensor = np.array(values, np.float32)
    read = json.loads(encode_regress(Regressions(tensor)))["results"]
    assert np.array_equal(np.array(read, np.float32), tensor, equal_nan=True)
