"""What bad REST requests are told: routes, methods, and what is asked of models that are not there."""

from __future__ import annotations

import pytest

from tests.contract.rest_requests import (
    HUGE,
    NO_LABEL,
    NOT_FOUND,
    ONE,
    PAGE,
    PREDICT,
    TWO,
    ask,
    examples,
)

# Routes


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["/foo", "/v2/models/m:predict", "/", "/v1"])
def test_unroutable_path_is_the_page(engine, method: str, target: str) -> None:
    answer = engine.rest.request(method, target)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html")
    assert answer.text == PAGE.format("404 Not Found", "Not Found")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/a/b"),
        ("POST", "/v1/models"),
        ("GET", PREDICT),
        ("GET", f"/v1/models/{TWO}:classify"),
        ("POST", f"/v1/models/{TWO}/metadata"),
        ("POST", f"/v1/models/{TWO}/version/5:predict"),
        ("POST", f"/v1/models/{TWO}/label/x:predict"),
        ("POST", f"/v1/models/{TWO}/versions/abc:predict"),
        ("POST", f"/v1/models/{TWO}/versions/1/labels/x:predict"),
        ("GET", f"/v1/models/{TWO}/versions/1/labels/x"),
        ("POST", f"/v1/models/{TWO}:PREDICT"),
        ("POST", f"/v1/models/{TWO}:foo"),
        ("POST", f"/v1/models/{TWO}"),
        ("PUT", PREDICT),
        ("DELETE", f"/v1/models/{TWO}"),
        ("PATCH", f"/v1/models/{TWO}"),
        ("POST", "/v1/models/foo:predict:predict"),
    ],
)
def test_malformed_request_is_repeated(engine, method: str, target: str) -> None:
    assert ask(engine, method, target) == (400, f"Malformed request: {method} {target}")


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("GET", "/v1/models/versions/1", "", 400, "Missing model name in request."),
        ("GET", "/v1/models/versions/1/metadata", "", 400, "Missing model name in request."),
        ("POST", "/v1/models/no:predict", ONE, 404, f"{NOT_FOUND}Latest(no)"),
        ("POST", "/v1/models/no:classify", examples("s"), 404, f"{NOT_FOUND}Latest(no)"),
        ("POST", "/v1/models/no:regress", examples("s"), 404, f"{NOT_FOUND}Latest(no)"),
        ("GET", "/v1/models/no/metadata", "", 404, f"{NOT_FOUND}Latest(no)"),
        ("POST", f"/v1/models/{TWO}/versions/9:predict", ONE, 404, f"{NOT_FOUND}Specific({TWO}, 9)"),
        (
            "POST",
            f"/v1/models/{TWO}/versions/9:classify",
            examples("s"),
            404,
            f"{NOT_FOUND}Specific({TWO}, 9)",
        ),
        (
            "POST",
            f"/v1/models/{TWO}/versions/9:regress",
            examples("s"),
            404,
            f"{NOT_FOUND}Specific({TWO}, 9)",
        ),
        ("GET", f"/v1/models/{TWO}/versions/9/metadata", "", 404, f"{NOT_FOUND}Specific({TWO}, 9)"),
        ("POST", "/v1/models/no/versions/9:predict", ONE, 404, f"{NOT_FOUND}Specific(no, 9)"),
        ("POST", f"/v1/models/{TWO}/labels/x:predict", ONE, 400, NO_LABEL),
        ("POST", "/v1/models/no/labels/x:predict", ONE, 400, NO_LABEL),
        ("POST", f"/v1/models/{TWO}/labels/x:classify", examples("s"), 400, NO_LABEL),
        ("POST", f"/v1/models/{TWO}/labels/x:regress", examples("s"), 400, NO_LABEL),
        ("GET", f"/v1/models/{TWO}/labels/x/metadata", "", 400, NO_LABEL),
        ("GET", "/v1/models/no", "", 404, "Could not find any versions of model no"),
        ("GET", f"/v1/models/{TWO}/versions/9", "", 404, f"Could not find version 9 of model {TWO}"),
        (
            "POST",
            PREDICT,
            '{"signature_name": "no", "instances": [1]}',
            400,
            'Serving signature name: "no" not found in signature def',
        ),
        (
            "POST",
            f"/v1/models/{TWO}:classify",
            examples("no"),
            400,
            "No signature was found with the name: no",
        ),
        (
            "POST",
            f"/v1/models/{TWO}:regress",
            examples("no"),
            400,
            "No signature was found with the name: no",
        ),
        (
            "POST",
            "/v1/models/counter:predict",
            '{"signature_name": "get_counter", "inputs": {}}',
            400,
            "Failed to get input map for signature: get_counter",
        ),
        (
            "POST",
            "/v1/models/counter:predict",
            '{"instances": [1]}',
            400,
            'Serving signature name: "serving_default" not found in signature def',
        ),
        # Upstream answers the next three with an empty body.
        (
            "GET",
            f"/v1/models/{TWO}/versions/{HUGE}",
            "",
            400,
            f"Failed to convert version: {HUGE} to numeric.",
        ),
        (
            "POST",
            f"/v1/models/{TWO}/versions/{HUGE}:predict",
            ONE,
            400,
            f"Failed to convert version: {HUGE} to numeric.",
        ),
        ("GET", "/v1/models/a%zz", "", 400, "Failed to decode model name:a%zz"),
        (
            "POST",
            f"/v1/models/{TWO}/labels/%:predict",
            ONE,
            400,
            "Failed to decode model version label:%",
        ),
        # Names are decoded after they matched; a plus is no space.
        ("GET", "/v1/models/a%2Fb%3Ac", "", 404, "Could not find any versions of model a/b:c"),
        ("GET", "/v1/models/a+b", "", 404, "Could not find any versions of model a+b"),
        ("GET", "/v1/models/metadata", "", 404, "Could not find any versions of model metadata"),
        # The body is read before the model is looked up.
        ("POST", "/v1/models/no:predict", "", 400, "JSON Parse error: The document is empty"),
        ("POST", "/v1/models/no:classify", "[]", 400, "JSON Value: [] Is not object"),
        (
            "POST",
            "/v1/models/no:predict",
            '{"signature_name": 1}',
            400,
            'JSON Value: {\n    "signature_name": 1\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        ("POST", "/v1/models/no:predict", "{}", 404, f"{NOT_FOUND}Latest(no)"),
    ],
)
def test_request_that_cannot_be_answered_is_told_why(
    engine, method: str, target: str, body: str, status: int, message: str
) -> None:
    assert ask(engine, method, target, body) == (status, message)


def test_error_body_is_as_upstream_writes_it(engine) -> None:
    """To the byte, and a hint after it where there is one."""
    answer = engine.rest.post("/v1/models/half:predict", content=ONE)
    upstream = '{\n    "error": "Servable not found for request: Latest(half)"'
    assert (answer.status_code, answer.text.partition(",\n")[0]) == (404, upstream)
    assert "half_plus_two" in answer.json()["hint"]
    answer = engine.rest.post(PREDICT, content='{"instances": ["\\u0001\\"\\\\\\n"]}')
    assert answer.content.partition(b",\n")[0] == (
        b'{\n    "error": "Failed to process element: 0 of \'instances\' list. Error: INVALID_ARGUMENT: '
        b'JSON Value: \\"\\\\u0001\\\\\\"\\\\\\\\\\\\n\\" Type: String is not of expected type: float"'
    )
    assert "instances[0]: strings of shape [], wanted [?,1] float32" in answer.json()["hint"]
