"""OpenAPI documents of real models: valid, and true of what their own examples are answered."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.contract.conftest import SERVED

REFUSED = {("fail_run", "serving_default"), ("odd_outputs", "other_batch")}
"""Signatures that fail whatever they are asked."""
FEATURES = {"examples": [{"x": 2.0}]}


def document_of(engine, target: str) -> tuple[str, dict]:
    url = f"{engine.connection.rest_url}/v1/models/{target}/openapi.json"
    answer = engine.rest.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return url, answer.json()


def validator(document: dict, media: dict) -> Draft202012Validator:
    return Draft202012Validator({**media["schema"], "components": document["components"]})


def media_of(operation: dict) -> tuple[dict, dict]:
    request = operation.get("requestBody", {"content": {"application/json": {}}})
    return tuple(part["content"]["application/json"] for part in (request, operation["responses"]["200"]))


@pytest.mark.parametrize("model", SERVED)
def test_document_is_valid_and_its_examples_are_answered_as_it_says(engine, model: str) -> None:
    url, document = document_of(engine, model)
    validate(document)
    server = urljoin(url, document["servers"][0]["url"])
    assert server == f"{engine.connection.rest_url}/v1"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            request, response = media_of(operation)
            if method == "get":
                answer = engine.rest.get(server + path)
                assert answer.status_code == 200, answer.text
                validator(document, response).validate(answer.json())
            for title, example in request.get("examples", {}).items():
                validator(document, request).validate(example["value"])
                answer = engine.rest.post(server + path, json=example["value"])
                if (model, title.partition(",")[0]) in REFUSED and answer.status_code == 400:
                    continue
                assert answer.status_code == 200, (title, answer.text)
                validator(document, response).validate(answer.json())


@pytest.mark.parametrize(
    ("target", "version", "path"),
    [
        ("half_plus_two_2_versions", "124", "/models/half_plus_two_2_versions"),
        ("half_plus_two_2_versions/versions/123", "123", "/models/half_plus_two_2_versions/versions/123"),
        ("half_plus_two_2_versions/labels/old", "123", "/models/half_plus_two_2_versions/labels/old"),
    ],
)
def test_document_is_of_the_version_that_was_asked_for(engine, target, version, path) -> None:
    url, document = document_of(engine, target)
    assert document["info"]["version"] == version
    assert urljoin(url, document["servers"][0]["url"]) == f"{engine.connection.rest_url}/v1"
    assert f"{path}:predict" in document["paths"]


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_classify_and_regress_answer_as_the_document_says(engine, verb: str) -> None:
    _, document = document_of(engine, "half_plus_two")
    operation = document["paths"][f"/models/half_plus_two:{verb}"]["post"]
    request, response = media_of(operation)
    names = request["schema"]["properties"]["signature_name"]["enum"]
    assert names
    for name in names:
        body = {"signature_name": name, **FEATURES}
        validator(document, request).validate(body)
        answer = engine.rest.post(f"/v1/models/half_plus_two:{verb}", json=body)
        if answer.status_code == 200:
            validator(document, response).validate(answer.json())
        else:
            validator(document, {"schema": {"$ref": "#/components/schemas/Error"}}).validate(answer.json())
    assert answer.status_code == 200, answer.text


def test_unknown_model_is_an_error_in_the_documents_form(engine) -> None:
    answer = engine.rest.get("/v1/models/nobody/openapi.json")
    assert (answer.status_code, "nobody" in answer.json()["error"]) == (404, True)
