"""The URL grammar: what each form means, and the exact refusal of the rest."""

from __future__ import annotations

import pytest

from jupyter_tfserve.dataplane.rest_routes import Route, Verb, allowed_methods, find_route
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import MAX_VERSION, ModelSpec


@pytest.mark.parametrize(
    ("method", "target", "verb", "spec"),
    [
        ("POST", "/v1/models/m:predict", Verb.PREDICT, ModelSpec("m")),
        ("POST", "/v1/models/m:classify", Verb.CLASSIFY, ModelSpec("m")),
        ("POST", "/v1/models/m:regress", Verb.REGRESS, ModelSpec("m")),
        ("POST", "/v1/models/m/versions/7:predict", Verb.PREDICT, ModelSpec("m", 7)),
        ("POST", "/v1/models/m/versions/007:predict", Verb.PREDICT, ModelSpec("m", 7)),
        ("POST", f"/v1/models/m/versions/{MAX_VERSION}:predict", Verb.PREDICT, ModelSpec("m", MAX_VERSION)),
        ("POST", "/v1/models/m/labels/stable:regress", Verb.REGRESS, ModelSpec("m", None, "stable")),
        ("POST", "/V1/Models/Foo:predict", Verb.PREDICT, ModelSpec("Foo")),
        ("POST", "/v1/models/m/VERSIONS/1:predict", Verb.PREDICT, ModelSpec("m", 1)),
        ("POST", "/v1/models/a%2Fb%3Ac%20d+e:predict", Verb.PREDICT, ModelSpec("a/b:c d+e")),
        ("POST", "/v1/models/m/labels/a%2fb:predict", Verb.PREDICT, ModelSpec("m", None, "a/b")),
        ("POST", "/v1/models/m:predict?key=1", Verb.PREDICT, ModelSpec("m")),
        ("POST", "/v1/models/m:predict#part", Verb.PREDICT, ModelSpec("m")),
        ("GET", "/v1/models/m", Verb.STATUS, ModelSpec("m")),
        ("GET", "/v1/models/m?x=1", Verb.STATUS, ModelSpec("m")),
        ("HEAD", "/v1/models/m", Verb.STATUS, ModelSpec("m")),
        ("GET", "/v1/models/m/versions/3", Verb.STATUS, ModelSpec("m", 3)),
        ("GET", "/v1/models/m/labels/l", Verb.STATUS, ModelSpec("m", None, "l")),
        ("GET", "/v1/models/m/metadata", Verb.METADATA, ModelSpec("m")),
        ("GET", "/v1/models/m/versions/3/metadata", Verb.METADATA, ModelSpec("m", 3)),
        ("GET", "/v1/models/m/labels/l/metadata", Verb.METADATA, ModelSpec("m", None, "l")),
        ("GET", "/v1/models/m/openapi.json", Verb.OPENAPI, ModelSpec("m")),
        ("HEAD", "/v1/models/m/versions/3/openapi.json", Verb.OPENAPI, ModelSpec("m", 3)),
        ("GET", "/v1/models/m/labels/l/openapi.json", Verb.OPENAPI, ModelSpec("m", None, "l")),
        ("GET", "/v1/models/openapi.json", Verb.STATUS, ModelSpec("openapi.json")),
        ("GET", "/v1/models/m/METADATA", Verb.STATUS, ModelSpec("m")),
        ("GET", "/v1/models/metadata", Verb.STATUS, ModelSpec("metadata")),
        ("GET", "/v1/models", Verb.MODELS, ModelSpec("")),
        ("GET", "/v1/models/%C3%A9", Verb.STATUS, ModelSpec("é")),
        ("GET", "/v1/models/" + "n" * 5000, Verb.STATUS, ModelSpec("n" * 5000)),
    ],
)
def test_route_is_found(method: str, target: str, verb: Verb, spec: ModelSpec) -> None:
    assert find_route(method, target) == Route(verb, spec)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/a/b"),
        ("GET", "/v1/models/a/"),
        ("POST", "/v1/models"),
        ("POST", "/v1/models:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m:predict\n"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/m:explain"),
        ("GET", "/v1/models/m:predict"),
        ("HEAD", "/v1/models/m:predict"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m/version/5:predict"),
        ("POST", "/v1/models/m/label/x:predict"),
        ("POST", "/v1/models/m/versions/abc:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/1/labels/x:predict"),
        ("GET", "/v1/models/m/versions/1/labels/x"),
        ("PUT", "/v1/models/m:predict"),
        ("DELETE", "/v1/models/m"),
        ("PATCH", "/v1/models/m?a=b"),
    ],
)
def test_target_outside_the_grammar_is_malformed(method: str, target: str) -> None:
    with pytest.raises(ServingError) as caught:
        find_route(method, target)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == f"Malformed request: {method} {target}"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/v1/models/versions/1", "Missing model name in request."),
        ("/v1/models/versions/1/metadata", "Missing model name in request."),
        (
            "/v1/models/m/versions/9223372036854775808",
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        ("/v1/models/m/versions/" + "9" * 400, f"Failed to convert version: {'9' * 400} to numeric."),
        ("/v1/models/a%zz", "Failed to decode model name:a%zz"),
        ("/v1/models/a%2", "Failed to decode model name:a%2"),
        ("/v1/models/a/labels/%", "Failed to decode model version label:%"),
    ],
)
def test_part_that_means_nothing_is_named(target: str, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        find_route("GET", target)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("/v1/models/m:predict?x", "POST, OPTIONS"),
        ("/v1/models/m/metadata", "GET, HEAD, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/v1/other", "GET, HEAD, POST, OPTIONS"),
    ],
)
def test_allowed_methods_are_those_of_the_grammar(target: str, methods: str) -> None:
    assert allowed_methods(target) == methods
