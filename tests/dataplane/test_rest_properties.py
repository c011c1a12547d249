"""Whatever is sent, the API answers: never by an exception, never with a server error that blames us."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_tfserve.options import LimitOptions

HONEST_SERVER_ERRORS = {501, 503, 504}
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
SEGMENTS = st.sampled_from(
    [
        "v1",
        "V1",
        "models",
        "m",
        "no",
        "versions",
        "labels",
        "1",
        "2",
        "99",
        "old",
        "x",
        "metadata",
        "%2F",
        "%zz",
        "é",
        "",
    ]
) | st.text(max_size=4)
TARGETS = st.builds(
    lambda segments, verb, query: "/" + "/".join(segments) + verb + query,
    st.lists(SEGMENTS, max_size=7),
    st.sampled_from(["", ":predict", ":classify", ":regress", ":PREDICT", ":x"]),
    st.sampled_from(["", "?", "?a=b", "#c"]),
)
MODELS = st.sampled_from(
    ["m:predict", "m:classify", "m:regress", "m/versions/1:predict", "m/labels/old:regress", "no:predict"]
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["x", "s", "inputs", "b64", "", "é"]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=12,
)
SIGNATURE_NAMES = st.sampled_from(
    ["", "serving_default", "both", "echo", "no_inputs", "complex", "scores", "names", "regress", "?"]
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": SIGNATURE_NAMES | JSON,
        "instances": JSON,
        "inputs": JSON,
        "examples": JSON | st.lists(st.dictionaries(st.text(max_size=2), JSON, max_size=3), max_size=3),
        "context": JSON,
    },
)
BODIES = st.binary(max_size=60) | DOCUMENTS.map(lambda document: json.dumps(document).encode())
# A fixture's context would be one event loop for all examples; each example has its own instead.
UNHURRIED = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_answered(response) -> None:
    assert response.status < 500 or response.status in HONEST_SERVER_ERRORS, response.body
    if response.status >= 400 and response.content_type == "application/json":
        # Bytes that are no UTF-8 come back as they were sent.
        document = json.loads(response.body.decode(errors="replace"))
        assert document["error"]


@pytest.fixture
def anyone(serving_rest):
    """Asks a server that lives as long as one example."""

    async def ask(*request, **headers):
        async with serving_rest(LimitOptions(max_tensor_bytes=1 << 20, max_json_depth=1000)) as rest:
            return await rest.ask(*request, **headers)

    return ask


@UNHURRIED
@given(METHODS, TARGETS, st.sampled_from([b"", b"{}", b'{"instances": [1.0]}']))
async def test_any_target_is_answered(anyone, method: str, target: str, body: bytes) -> None:
    # The wire has bytes only: HTTP hands them on as latin-1.
    assert_answered(await anyone(method, target.encode("utf-8", "replace").decode("latin-1"), body))


@UNHURRIED
@given(MODELS, BODIES)
async def test_any_body_is_answered(anyone, target: str, body: bytes) -> None:
    assert_answered(await anyone("POST", f"/v1/models/{target}", body))


@UNHURRIED
@given(MODELS, BODIES, st.sampled_from(["gzip", "deflate", "identity", "br, gzip", ""]), st.booleans())
async def test_any_encoding_is_answered(
    anyone, target: str, body: bytes, encoding: str, is_true: bool
) -> None:
    sent = gzip.compress(body) if is_true else body
    assert_answered(await anyone("POST", f"/v1/models/{target}", sent, content_encoding=encoding))


@pytest.mark.parametrize("opening", [b"[", b'{"instances":', b'{"instances": [', b'{"examples":[{"x":'])
@pytest.mark.parametrize("depth", [900, 200_000])
async def test_deep_bodies_are_answered(serving_rest, opening: bytes, depth: int) -> None:
    async with serving_rest() as rest:
        for body in (opening + b"[" * depth, opening + b"[" * depth + b"]" * depth + b"}]}"):
            for verb in ("predict", "classify"):
                assert (await rest.ask("POST", f"/v1/models/m:{verb}", body)).status in (400, 429)
