"""The contract's worked examples over REST: every request and the answer that upstream gives it."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
TWO, BOTH, THREE = "half_plus_two", "half_plus_two_2_versions", "half_plus_three"
STRICT = "tensorflow/serving/regress"


def post(engine, target: str, body: str) -> Any:
    answer = engine.rest.post(f"/v1/models/{target}", content=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.content)


@pytest.mark.parametrize(
    ("target", "body", "answer"),
    [
        (f"{TWO}:predict", '{"instances": [1.0, 2.0, 5.0]}', {"predictions": [2.5, 3.0, 4.5]}),
        (
            f"{TWO}:predict",
            '{"instances": [[1.0, 2.0], [3.0, 4.0]]}',
            {"predictions": [[2.5, 3.0], [3.5, 4.0]]},
        ),
        (f"{TWO}:predict", '{"inputs": [2.0, 3.0, 4.0]}', {"outputs": [3.0, 3.5, 4.0]}),
        (f"{TWO}:predict", '{"instances": [2.0, 3.0, 4.0]}', {"predictions": [3.0, 3.5, 4.0]}),
        (f"{TWO}:predict", '{"inputs": {"x": [2.0]}}', {"outputs": [3.0]}),
        (f"{TWO}:predict", '{"inputs": 6.0}', {"outputs": 5.0}),
        # The first of two equal keys counts, of a feature the last.
        (f"{TWO}:predict", '{"inputs": {"x": [2.0], "x": [8.0]}}', {"outputs": [3.0]}),
        (f"{TWO}:predict", '{"inputs": [2.0], "inputs": [8.0]}', {"outputs": [3.0]}),
        (
            f"{TWO}:regress",
            '{"signature_name": "regress_x_to_y", "examples": [{"x": 2.0, "x": 8.0}]}',
            {"results": [6.0]},
        ),
        (f"{TWO}:predict", '{"instances": [[]]}', {"predictions": [[]]}),
        # Control bytes and what is no UTF-8 travel in names and texts.
        (
            "strings:predict",
            '{"instances": [{"text": "\\u0000\\ud83d\\ude00", "suffix": "\\/"}]}',
            {"predictions": [{"joined": "\0\U0001f600/", "upper_bytes": {"b64": "APCfmIA="}}]},
        ),
        (f"{TWO}:predict", '{"instances": [{"x": 2.0}, {"x": 3.0}]}', {"predictions": [3.0, 3.5]}),
        (f"{TWO}:predict", '{"inputs": []}', {"outputs": []}),
        (
            f"{TWO}/versions/123:predict",
            '{"signature_name": "serving_default", "instances": [3.0, 4.0]}',
            {"predictions": [3.5, 4.0]},
        ),
        (f"{TWO}/labels/stable:predict", '{"instances": [1]}', {"predictions": [2.5]}),
        (
            f"{TWO}:regress",
            '{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}',
            {"results": [42.0]},
        ),
        (
            f"{TWO}:regress",
            '{"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}, {"x": 4.0}]}',
            {"results": [3.0, 4.0]},
        ),
        (
            f"{TWO}:classify",
            '{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}',
            {"results": [[["", 12.0]]]},
        ),
        (
            f"{BOTH}/versions/123:classify",
            '{"signature_name": "classify_x_to_y", "examples": [{"x": 10.0}]}',
            {"results": [[["", 7.0]]]},
        ),
        (
            f"{BOTH}/labels/old:regress",
            '{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}',
            {"results": [42.0]},
        ),
        (f"{THREE}:predict", '{"instances": [1.0, 2.0, 5.0]}', {"predictions": [3.5, 4.0, 5.5]}),
        (
            f"{THREE}:regress",
            json.dumps({"signature_name": STRICT, "examples": [{"x": 1.0}, {"x": 2.0}]}),
            {"results": [3.5, 4.0]},
        ),
        (
            f"{TWO}:regress",
            '{"signature_name": "regress_x_to_y", "context": {"x": 4.0}, "examples": [{}, {"x": 2.0}]}',
            {"results": [4.0, 3.0]},
        ),
        (
            "odd_signatures:classify",
            '{"signature_name": "two_classes", "examples": [{"x": 1.0}]}',
            {"results": [[["1.000000", 1.0], ["1.000000", 1.0]]]},
        ),
        (
            "odd_signatures:classify",
            '{"signature_name": "only_classes", "examples": [{"x": 1.0}]}',
            {"results": [[["1.000000", 0.0]]]},
        ),
        (
            "odd_signatures:classify",
            '{"signature_name": "zero_scores", "examples": [{"x": 1.0}]}',
            {"results": [[["", 0.0], ["", 0.0]]]},
        ),
        (
            "odd_outputs:predict",
            '{"signature_name": "two_rows", "instances": [1, 3]}',
            {"predictions": [{"a": 1, "b": "1"}, {"a": 3, "b": "3"}]},
        ),
        (
            "odd_outputs:predict",
            '{"signature_name": "two_rows", "inputs": [1]}',
            {"outputs": {"a": [1], "b": ["1"]}},
        ),
        (
            "odd_outputs:predict",
            '{"signature_name": "text_bytes", "instances": [1]}',
            {"predictions": [{"b64": "MS4wMDAwMDA="}]},
        ),
        ("odd_outputs:predict", '{"signature_name": "scalar", "inputs": [1, 2]}', {"outputs": 3.0}),
        (
            "strings:predict",
            '{"instances": [{"text": {"b64": "aGVsbG8="}, "suffix": "!"}]}',
            {"predictions": [{"joined": "hello!", "upper_bytes": {"b64": "SEVMTE8="}}]},
        ),
        (
            "matrix_half_plus_two:predict",
            json.dumps({"instances": [[[2.0] * 3] * 3]}),
            {"predictions": [[[3.0] * 3] * 3]},
        ),
    ],
)
def test_worked_example_is_answered(engine, target: str, body: str, answer: Any) -> None:
    assert post(engine, target, body) == answer


@pytest.mark.parametrize(
    ("floats", "printed"),
    [
        ("[9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5]", "9e+06,999999.0,0.5,0.0003,3e-05,555557.5"),
        ("[2.5, 3, 0.1, 1e6, 1e-5, 0.0001]", "2.5,3.0,0.1,1e+06,1e-05,0.0001"),
        ("[0.3333333333, 1234567, 123456.7, -0.0]", "0.333333343,1234567.0,123456.703,-0.0"),
    ],
)
def test_floats_have_upstream_s_values(engine, floats: str, printed: str) -> None:
    """Read as a double each printed number is the very one that upstream's text gives."""
    got = post(engine, "odd_outputs:predict", f'{{"signature_name": "same", "instances": {floats}}}')
    assert [repr(value) for value in got["predictions"]] == [repr(float(text)) for text in printed.split(",")]


@pytest.mark.parametrize("where", ["", "/versions/123", "/labels/stable", "?pretty"])
def test_status_is_upstream_s_to_the_byte(engine, where: str) -> None:
    answer = engine.rest.get(f"/v1/models/{TWO}{where}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text == (
        '{\n "model_version_status": [\n  {\n   "version": "123",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_status_lists_versions_in_descending_order(engine) -> None:
    answer = engine.rest.get(f"/v1/models/{BOTH}").json()
    assert answer == {"model_version_status": [{"version": v, **AVAILABLE} for v in ("124", "123")]}


def tensor(name: str, dtype: str, *sizes: int) -> dict[str, Any]:
    shape = {"dim": [{"size": str(size), "name": ""} for size in sizes], "unknown_rank": False}
    return {"name": name, "dtype": dtype, "tensor_shape": shape}


def test_metadata_is_upstream_s_document(engine) -> None:
    answer = engine.rest.get(f"/v1/models/{TWO}/metadata")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text.startswith('{\n"model_spec":{\n "name": "half_plus_two",\n "signature_name": "",\n')
    assert answer.text.endswith("}\n}\n}\n")
    document = answer.json()
    assert document["model_spec"] == {"name": TWO, "signature_name": "", "version": "123"}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    text, x = tensor("tf_example:0", "DT_STRING", -1), tensor("x:0", "DT_FLOAT", -1, 1)

    def signature(method: str, inputs: Any, alias: str, output: int) -> Any:
        name = signatures_output[output]
        return {
            "inputs": inputs,
            "outputs": {alias: tensor(name, "DT_FLOAT", -1, 1)},
            "method_name": f"tensorflow/serving/{method}",
            "defaults": {},
        }

    signatures_output = {
        key: next(iter(found["outputs"].values()))["name"] for key, found in enumerate(signatures.values())
    }
    keys = list(signatures)
    assert signatures == {
        "serving_default": signature("predict", {"x": x}, "y", keys.index("serving_default")),
        "classify_x_to_y": signature("classify", {"inputs": text}, "scores", keys.index("classify_x_to_y")),
        "regress_x_to_y": signature("regress", {"inputs": text}, "outputs", keys.index("regress_x_to_y")),
        "regress_x_to_y2": signature("regress", {"inputs": text}, "outputs", keys.index("regress_x_to_y2")),
        "regress_x2_to_y3": signature(
            "regress",
            {"inputs": tensor("x2:0", "DT_FLOAT", -1, 1)},
            "outputs",
            keys.index("regress_x2_to_y3"),
        ),
    }


def test_metadata_tells_defaults_and_the_version_asked_for(engine) -> None:
    tf2 = engine.rest.get("/v1/models/half_plus_two_tf2/metadata").json()
    signatures = tf2["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["defaults"]["x"]["float_val"] == [2.0]
    assert "__saved_model_init_op" in signatures
    for where, version in (("", "124"), ("/versions/123", "123"), ("/labels/old", "123")):
        answer = engine.rest.get(f"/v1/models/{BOTH}{where}/metadata").json()
        assert answer["model_spec"]["version"] == version


def test_case_of_the_path_does_not_matter(engine) -> None:
    assert post(engine, f"{TWO}:predict", '{"instances": [1]}') == {"predictions": [2.5]}
    for target in (f"/V1/Models/{TWO}:predict", f"/v1/models/{TWO}/VERSIONS/123:predict"):
        assert engine.rest.post(target, content='{"instances": [1]}').json() == {"predictions": [2.5]}
    mis_cased = engine.rest.get(f"/v1/models/{TWO}/METADATA").json()
    assert list(mis_cased) == ["model_version_status"]


def test_gzip_body_is_inflated(engine) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    answer = engine.rest.post(f"/v1/models/{TWO}:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.json() == {"predictions": [2.5]}
    assert "Content-Encoding" not in answer.headers


def test_content_type_and_accept_are_ignored(engine) -> None:
    headers = {"Content-Type": "text/plain", "Accept": "text/html", "Accept-Encoding": "gzip"}
    answer = engine.rest.post(f"/v1/models/{TWO}:predict", content='{"instances": [1.0]}', headers=headers)
    assert answer.json() == {"predictions": [2.5]}
    assert {name.lower() for name in answer.headers} == {"content-type", "date", "content-length"}


def exchange(engine, request: bytes) -> bytes:
    """All that comes back on a connection of its own; the request asks for its end."""
    parts = urlsplit(engine.connection.rest_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(request)
        received = b""
        while more := connection.recv(65536):
            received += more
    return received


def test_chunked_body_and_expectation_are_honoured(engine) -> None:
    head = f"POST /v1/models/{TWO}:predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    chunked = exchange(
        engine,
        head + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"instanc\r\na\r\nes": [1.0]\r\n1\r\n}\r\n0\r\n\r\n',
    )
    assert chunked.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close\r\n" in chunked
    body = b'{"instances": [1.0]}'
    expected = exchange(
        engine, head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert expected.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert exchange(engine, head + b"Expect: tea\r\nContent-Length: 0\r\n\r\n").startswith(b"HTTP/1.1 417 ")


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (b"TRACE /v1/models/m", b"501 Not Implemented"),
        (b"CONNECT localhost:1", b"501 Not Implemented"),
        (b"BREW /v1/models/m", b"501 Not Implemented"),
        (b"GET /v1/models/a b", b"400 Bad Request"),
    ],
)
def test_verb_or_uri_that_is_none_gets_the_page(engine, line: bytes, title: bytes) -> None:
    answer = exchange(engine, line + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + title + b"\r\n"), answer
    assert b"<HTML><HEAD>\n<TITLE>" + title + b"</TITLE>" in answer


def test_target_in_absolute_form_is_its_path(engine) -> None:
    line = b"GET http://localhost/v1/models/half_plus_three HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(engine, line)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"version": "123"' in answer


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        (
            '{"signature_name": 1, "examples": [{}]}',
            'JSON Value: {\n    "signature_name": 1,\n    "examples": [{}]\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        (
            '{"examples": 1}',
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ('{"examples": [[]]}', "Example must be JSON object but got JSON Array"),
        ('{"context": 1, "examples": [{}]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
        ('{"examples": [{"x": {"a": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
        (
            '{"examples": [{"x": 9223372036854775808}]}',
            "Feature: x has uint64_t element. Only int64_t is supported.",
        ),
        (
            '{"examples": [{"x": [1, 2.0]}]}',
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            '{"examples": [{"x": ["a", 2]}]}',
            "Unexpected element type in feature: x expecting type: bytes",
        ),
        (
            '{"examples": [{"x": [1.0, "a"]}]}',
            "Unexpected element type in feature: x expecting type: float",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_example_body_that_is_wrong_is_told_how(engine, verb: str, body: str, message: str) -> None:
    answer = engine.rest.post(f"/v1/models/{TWO}:{verb}", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, message)
