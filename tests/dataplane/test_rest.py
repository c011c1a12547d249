"""RestApi on a real ServerCore: every route's answer, upstream's errors, and the departures."""

from __future__ import annotations

import asyncio
import json

import pytest

from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError
from tests.dataplane.rest_answers import answer_of, error_of, examples

ONE = b'{"instances": [2.0]}'
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


@pytest.mark.parametrize(
    ("target", "body", "answer"),
    [
        ("m:predict", b'{"instances": [1.0, 2.0, 5.0]}', {"predictions": [2.5, 3.0, 4.5]}),
        ("m:predict", b'{"instances": [{"x": 1}, {"x": 2}]}', {"predictions": [2.5, 3.0]}),
        ("m:predict", b'{"inputs": [2.0, 3.0]}', {"outputs": [3.0, 3.5]}),
        ("m:predict", b'{"inputs": {"x": [2.0]}, "extra": 1}', {"outputs": [3.0]}),
        ("m:predict?ask=1", ONE, {"predictions": [3.0]}),
        (
            "m:predict",
            b'{"signature_name": "both", "instances": [2.0]}',
            {"predictions": [{"y": 3.0, "same": 2.0}]},
        ),
        (
            "m:predict",
            b'{"signature_name": "echo", "instances": ["hi", {"b64": "/w=="}]}',
            {"predictions": [{"b64": "aGk="}, {"b64": "/w=="}]},
        ),
        ("m:predict", b'{"signature_name": "version", "instances": [1]}', {"predictions": [2]}),
        ("m/versions/1:predict", b'{"signature_name": "version", "instances": [1]}', {"predictions": [1]}),
        ("m/labels/old:predict", b'{"signature_name": "version", "instances": [1]}', {"predictions": [1]}),
        ("m/labels/new:predict", b'{"signature_name": "version", "instances": [1]}', {"predictions": [2]}),
        ("m:classify", examples("scores", 2.0), {"results": [[["", 3.0]]]}),
        ("m:classify", examples("names", 2.0, 4.0), {"results": [[["is 2", 3.0]], [["is 4", 4.0]]]}),
        ("m/versions/1:classify", examples("scores", 2.0), {"results": [[["", 3.0]]]}),
        ("m:regress", examples("regress", 2.0, 3.0), {"results": [3.0, 3.5]}),
        ("m/labels/old:regress", examples("regress", 2.0), {"results": [3.0]}),
        ("m:regress", b'{"signature_name": "regress", "context": {"x": 4.0}, "examples": [{}, {"x": 2.0}]}',
         {"results": [4.0, 3.0]}),
    ],
)  # fmt: skip
async def test_inference_answers(serving_rest, target: str, body: bytes, answer: dict) -> None:
    async with serving_rest() as rest:
        assert answer_of(await rest.ask("POST", f"/v1/models/{target}", body)) == answer


AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize(
    ("target", "versions"),
    [
        ("m", [2, 1]),
        ("m/versions/1", [1]),
        ("m/labels/old", [1]),
        ("m/labels/new", [2]),
        ("m?pretty=1", [2, 1]),
    ],
)
async def test_status_lists_what_is_asked_for(serving_rest, target: str, versions: list[int]) -> None:
    async with serving_rest() as rest:
        answer = answer_of(await rest.ask("GET", f"/v1/models/{target}"))
    assert answer == {"model_version_status": [{"version": str(v), **AVAILABLE} for v in versions]}


async def test_status_body_is_upstreams_to_the_byte(serving_rest) -> None:
    async with serving_rest() as rest:
        body = (await rest.ask("GET", "/v1/models/m/versions/1")).body
    assert body == (
        b'{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n'
        b'   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


@pytest.mark.parametrize(
    ("target", "version"), [("m", "2"), ("m/versions/1", "1"), ("m/labels/old", "1"), ("m/labels/new", "2")]
)
async def test_metadata_tells_version_and_signatures(serving_rest, target: str, version: str) -> None:
    async with serving_rest() as rest:
        answer = answer_of(await rest.ask("GET", f"/v1/models/{target}/metadata"))
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": version}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["regress"]["method_name"] == "tensorflow/serving/regress"


async def test_all_models_are_listed(serving_rest) -> None:
    async with serving_rest() as rest:
        assert answer_of(await rest.ask("GET", "/v1/models")) == {"models": ["m"]}


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("POST", "no:predict", ONE, 404, "Servable not found for request: Latest(no)"),
        ("POST", "no:classify", examples("s", 1.0), 404, "Servable not found for request: Latest(no)"),
        ("POST", "no:regress", examples("s", 1.0), 404, "Servable not found for request: Latest(no)"),
        ("GET", "no/metadata", b"", 404, "Servable not found for request: Latest(no)"),
        ("POST", "m/versions/9:predict", ONE, 404, "Servable not found for request: Specific(m, 9)"),
        ("POST", "no/versions/9:regress", examples("s", 1.0), 404,
         "Servable not found for request: Specific(no, 9)"),
        ("GET", "m/versions/9/metadata", b"", 404, "Servable not found for request: Specific(m, 9)"),
        ("POST", "m/labels/x:predict", ONE, 400, "Unrecognized servable version label: x"),
        ("POST", "no/labels/x:predict", ONE, 400, "Unrecognized servable version label: x"),
        ("POST", "m/labels/x:classify", examples("s", 1.0), 400, "Unrecognized servable version label: x"),
        ("GET", "m/labels/x/metadata", b"", 400, "Unrecognized servable version label: x"),
        ("GET", "m/labels/x", b"", 400, "Unrecognized servable version label: x"),
        ("GET", "no/labels/x", b"", 400, "Unrecognized servable version label: x"),
        ("GET", "no", b"", 404, "Could not find any versions of model no"),
        ("GET", "m/versions/9", b"", 404, "Could not find version 9 of model m"),
        ("GET", "versions/1", b"", 400, "Missing model name in request."),
        ("GET", "m/versions/99999999999999999999", b"", 400,
         "Failed to convert version: 99999999999999999999 to numeric."),
        ("POST", "m:predict", b'{"signature_name": "s", "instances": [1]}', 400,
         'Serving signature name: "s" not found in signature def'),
        ("POST", "m:classify", examples("s", 1.0), 400, "No signature was found with the name: s"),
        ("POST", "m:regress", examples("s", 1.0), 400, "No signature was found with the name: s"),
        ("POST", "m:predict", b'{"signature_name": "no_inputs", "inputs": {}}', 400,
         "Failed to get input map for signature: no_inputs"),
        ("POST", "m:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("POST", "no:predict", b"{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("POST", "no:classify", b"[]", 400, "JSON Value: [] Is not object"),
        ("POST", "m:predict", b'{"signature_name": 100, "instances": [1]}', 400,
         'JSON Value: {\n    "signature_name": 100,\n    "instances": [1]\n} not formatted correctly. '
         "'signature_name' key must be a string value."),
        ("POST", "m:predict", b'{"inputs": "x"}', 400,
         'JSON Value: "x" Type: String is not of expected type: float'),
        ("POST", "m:predict", b'{}', 400, "Missing 'inputs' or 'instances' key"),
        ("POST", "m:classify", b'{"examples": []}', 400,
         'JSON Value: {\n    "examples": []\n} \'examples\' value is an empty array'),
        ("POST", "m:regress", b'{"examples": [1]}', 400, "Example must be JSON object but got JSON Number"),
        ("POST", "m:regress", examples("scores", 1.0), 400,
         'No regression outputs found in SignatureDef: '),
        ("POST", "m:classify", examples("both", 1.0), 400,
         "No classification inputs found in SignatureDef: "),
        ("POST", "m/version/5:predict", ONE, 400, "Malformed request: POST /v1/models/m/version/5:predict"),
        ("GET", "m:predict?a=b", b"", 400, "Malformed request: GET /v1/models/m:predict?a=b"),
        ("PUT", "m", b"", 400, "Malformed request: PUT /v1/models/m"),
        ("DELETE", "m:predict", b"", 400, "Malformed request: DELETE /v1/models/m:predict"),
        ("PATCH", "m", b"", 400, "Malformed request: PATCH /v1/models/m"),
        ("HEAD", "m:predict", b"", 400, "Malformed request: HEAD /v1/models/m:predict"),
        ("GET", "a%zz", b"", 400, "Failed to decode model name:a%zz"),
    ],
)  # fmt: skip
async def test_bad_request_is_told_in_upstreams_words(
    serving_rest, method: str, target: str, body: bytes, status: int, message: str
) -> None:
    async with serving_rest() as rest:
        got, said = error_of(await rest.ask(method, f"/v1/models/{target}", body))
    # The text form of a SignatureDef is protobuf's affair.
    assert (got, said[: len(message)] if message.endswith(": ") else said) == (status, message)


async def test_error_body_is_upstreams_to_the_byte(serving_rest) -> None:
    async with serving_rest() as rest:
        body = (await rest.ask("POST", '/v1/models/a"b:predict', ONE)).body
        raw = (await rest.ask("POST", "/v1/models/%FF%C3%A9:predict", ONE)).body
    ours = b',\n    "hint": "The models: m"\n}'
    assert body == b'{\n    "error": "Servable not found for request: Latest(a\\"b)"' + ours
    assert raw == b'{\n    "error": "Servable not found for request: Latest(\xff\xc3\xa9)"' + ours


@pytest.mark.parametrize(
    ("target", "body", "part"),
    [
        ("m", b'{"instances": [[1.0, 2.0], [1.0]]}', "instances[0]: shape [2], wanted"),
        ("m", b'{"instances": [["a"]]}', "instances[0]: "),
        ("m", b'{"inputs": {"xx": [1.0]}}', "rename 'xx' to 'x'"),
        ("mm", ONE, "The models: m"),
        ("m/versions/3", ONE, "The versions that serve: 2, 1"),
        ("m/labels/odl", ONE, "Its labels: old, new"),
    ],
)
async def test_hint_tells_what_is_wanted_when_a_prediction_is_refused(
    serving_rest, target: str, body: bytes, part: str
) -> None:
    async with serving_rest() as rest:
        answer = await rest.ask("POST", f"/v1/models/{target}:predict", body)
    assert 400 <= answer.status < 500
    assert part in json.loads(answer.body)["hint"]


async def test_hint_stands_beside_the_error(serving_rest) -> None:
    async with serving_rest() as rest:
        document = json.loads((await rest.predict(b'{"signature_name": "s", "instances": [1]}')).body)
    assert document["hint"].startswith("The model has the signatures both, complex, echo, ")


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
async def test_every_code_has_its_status(serving_rest, code: Code) -> None:
    async with serving_rest() as rest:
        rest.models.error = ServingError(code, "as it went")
        response = await rest.predict(b'{"signature_name": "fails", "instances": [1]}')
    assert error_of(response) == (HTTP_STATUS[code], "as it went")
    assert response.headers.get("Retry-After") == ("1" if code is Code.UNAVAILABLE else None)


async def test_dtype_that_json_lacks_is_501_in_columns(serving_rest) -> None:
    async with serving_rest() as rest:
        status, message = error_of(await rest.predict(b'{"signature_name": "complex", "inputs": [1]}'))
    assert (status, message) == (501, "Conversion of JSON Value: 1 to type: complex64")


@pytest.mark.parametrize(("timeout_ms", "timeout_s"), [(2500, 2.5), (0, None), (-1, None)])
async def test_run_gets_the_rest_timeout(serving_rest, timeout_ms: int, timeout_s: float | None) -> None:
    async with serving_rest(timeout_ms=timeout_ms) as rest:
        await rest.predict(ONE)
        await rest.ask("POST", "/v1/models/m:regress", examples("regress", 1.0))
        assert rest.models.timeouts == [timeout_s, timeout_s]


@pytest.mark.parametrize("target", ["m:predict", "m:classify", "m:regress", "m/metadata"])
async def test_request_waits_for_the_first_load(serving_rest, target: str) -> None:
    bodies = {"m:predict": ONE, "m:classify": examples("scores", 1.0), "m:regress": examples("regress", 1.0)}
    body = bodies.get(target, b"")
    async with serving_rest(is_loaded=False) as rest:
        asked = asyncio.ensure_future(rest.ask("POST" if body else "GET", f"/v1/models/{target}", body))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done()
        rest.models.loaded.set()
        assert (await asyncio.wait_for(asked, 10)).status == 200


async def test_wait_for_the_first_load_has_the_request_s_time(serving_rest) -> None:
    async with serving_rest(is_loaded=False, timeout_ms=50) as rest:
        assert error_of(await rest.predict(ONE)) == (504, "Model m is still loading")
        answer = answer_of(await rest.ask("GET", "/v1/models/m"))
    assert [entry["state"] for entry in answer["model_version_status"]] == ["LOADING"]


async def test_method_name_is_checked_only_when_asked_for(serving_rest) -> None:
    body = examples("nonsense", 2.0)
    async with serving_rest() as rest:
        assert answer_of(await rest.ask("POST", "/v1/models/m:classify", body)) == {"results": [[["", 3.0]]]}
    async with serving_rest(check_method_names=True) as rest:
        assert error_of(await rest.ask("POST", "/v1/models/m:classify", body)) == (
            400,
            "Expected classification signature method_name to be tensorflow/serving/classify. Was: my/method",
        )
        status, _ = error_of(await rest.predict(b'{"signature_name": "nonsense", "instances": ["a"]}'))
        assert status == 500
        assert answer_of(await rest.predict(ONE)) == {"predictions": [3.0]}


# Outside the API, and other verbs


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/foo", 404),
        ("POST", "/v2/models/m:predict", 404),
        ("GET", "/v1", 404),
        ("GET", "/", 404),
        ("TRACE", "/v1/models/m", 501),
        ("BREW", "/", 501),
        ("GET", "/v1/models/\xe9", 400),
    ],
)
async def test_page_answers_what_is_outside_the_api(
    serving_rest, method: str, target: str, status: int
) -> None:
    async with serving_rest(enable_cors=True) as rest:
        response = await rest.ask(method, target)
    phrase = {404: "Not Found", 501: "Not Implemented", 400: "Bad Request"}[status]
    assert (response.status, response.content_type, dict(response.headers)) == (status, "text/html", {})
    assert response.body.decode() == (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    )


async def test_health_is_told_while_models_load(serving_rest) -> None:
    async with serving_rest(is_loaded=False) as rest:
        assert (await rest.ask("GET", "/healthz?x")).status == 200
        assert (await rest.ask("GET", "/readyz")).status == 503
    async with serving_rest() as rest:
        assert answer_of(await rest.ask("GET", "/readyz")) == {"ready": True}


@pytest.mark.parametrize("target", ["m", "m/metadata", "m/versions/1", "nothing"])
async def test_head_is_get(serving_rest, target: str) -> None:
    async with serving_rest() as rest:
        asked = [await rest.ask(method, f"/v1/models/{target}") for method in ("HEAD", "GET")]
    assert asked[0] == asked[1]


async def test_options_tells_what_is_allowed(serving_rest) -> None:
    async with serving_rest() as rest:
        response = await rest.ask("OPTIONS", "/v1/models/m:predict")
    assert (response.status, response.body, dict(response.headers)) == (200, b"", {"Allow": "POST, OPTIONS"})


async def test_every_api_answer_has_cors_headers_when_enabled(serving_rest) -> None:
    async with serving_rest(enable_cors=True) as rest:
        preflight = await rest.ask("OPTIONS", "/v1/models/m:predict", origin="https://page.example")
        answers = [
            await rest.predict(ONE),
            await rest.predict(b"{"),
            await rest.predict(ONE, "unknown"),
            await rest.ask("GET", "/v1/models/m"),
            await rest.ask("PUT", "/v1/models/m"),
        ]
        rest.models.error = ServingError(Code.UNAVAILABLE, "full")
        busy = await rest.predict(b'{"signature_name": "fails", "instances": [1]}')
    assert (preflight.status, dict(preflight.headers)) == (200, {"Allow": "POST, OPTIONS", **CORS})
    assert [answer.status for answer in answers] == [200, 400, 404, 200, 400]
    assert all(dict(answer.headers) == CORS for answer in answers)
    assert dict(busy.headers) == {**CORS, "Retry-After": "1"}


async def test_no_cors_header_when_not_enabled(serving_rest) -> None:
    async with serving_rest() as rest:
        answers = [await rest.predict(ONE), await rest.predict(b"{"), await rest.ask("GET", "/v1/models/m")]
    assert all(not answer.headers for answer in answers)


async def test_answers_and_refusals_are_counted_by_the_version_that_was_asked(serving_rest):
    async with serving_rest() as rest:
        rest.asks_twice = False
        for _ in range(3):
            await rest.predict(b'{"instances": [1.0]}')
        await rest.ask("POST", "/v1/models/m/versions/1:predict", b'{"instances": [1.0]}')
        await rest.ask("POST", "/v1/models/m/versions/1:predict", b'{"instances": ["no number"]}')
        await rest.predict(b'{"signature_name": "fails", "instances": [1.0]}')
        await rest.predict(b'{"signature_name": "nowhere", "instances": [1.0]}')
        await rest.ask(
            "POST", "/v1/models/m:regress", b'{"signature_name": "regress", "examples": [{"x": 1.0}]}'
        )
        await rest.ask("GET", "/v1/models/m/metadata")
        counted = {
            version: (sum(served.loader.traffic.counts), served.loader.traffic.errors)
            for version, served in rest.core.serving_map.models["m"].versions.items()
        }
        assert counted == {1: (1, 1), 2: (4, 2)}


async def test_answer_tells_its_times_only_when_it_is_asked_to(serving_rest):
    async with serving_rest() as rest:
        body = b'{"instances": [1.0]}'
        asked = await rest.predict(body, x_tfserve_timing="1")
        assert (await rest.predict(body)).headers == {}
        assert (await rest.predict(b"{", x_tfserve_timing="1")).headers == {}
        assert (asked.status, asked.body) == (200, (await rest.predict(body)).body)
        told = dict(stage.split(";dur=") for stage in asked.headers["Server-Timing"].split(", "))
        assert list(told) == ["decode", "queue", "batch", "compute", "encode", "total"]
        *stages, total = map(float, told.values())
        assert total > 0
        assert sum(stages) == pytest.approx(total, abs=0.001)
