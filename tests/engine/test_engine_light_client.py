"""The light client against a real engine: REST and gRPC give the same arrays, and neither imports TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyter_tfserve.client import ClassScore, Client
from jupyter_tfserve.errors import Code, ServingError

pytestmark = pytest.mark.slow

MODELS = ["half_plus_two", "strings", "multi_io", "echo", "scalar", "two_signatures"]


@pytest.fixture(scope="module")
def served(saved_models, inference_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("light_client")
    for name in MODELS:
        (folder / name).mkdir()
        # The version, not the model: other tests make other versions of it.
        (folder / name / "1").symlink_to(saved_models / name / "1")
    (folder / "examples").symlink_to(inference_models / "half_plus_two")
    return folder


@pytest.fixture
def engine(served, start_engine):
    engine = start_engine(f"--model_base_path={served}")
    for name in MODELS:
        engine.wait_version(name, 1)
    engine.wait_version("examples", 123)
    return engine


def clients(engine):
    yield Client(engine.connection.rest_url)
    yield Client(f"grpc://{engine.connection.grpc_address}/")


def assert_same(answer, dtype, values):
    assert answer.dtype == np.dtype(dtype)
    assert answer.tolist() == values


def predict_everything(client: Client) -> None:
    assert_same(client.predict("half_plus_two", [1, 2, 5.0]), "f4", [2.5, 3, 4.5])
    assert_same(client.predict("half_plus_two", rows=[1.0, np.nan])[:1], "f4", [2.5])
    assert_same(client.predict("half_plus_two", {"x": np.float64([2])}, version=1), "f4", [3])
    texts = client.predict("strings", rows=[{"text": "é", "suffix": b"\0\xff"}, {"text": "a", "suffix": ""}])
    assert_same(texts["joined"], object, ["é".encode() + b"\0\xff", b"a"])
    assert_same(texts["upper_bytes"], object, ["é".encode(), b"A"])
    several = client.predict("multi_io", {"a": [[1, 2]], "b": [[0, 9]]})
    assert_same(several["sum"], "f4", [[1, 11]])
    assert_same(several["bigger"], "?", [[True, False]])
    assert_same(several["total"], "i4", [12])
    assert_same(client.predict("scalar", 4)["y"], "f4", 8)
    assert_same(client.predict("two_signatures", [2], signature="triple"), "f4", [6])


def test_answers_are_the_same_when_asked_over_rest_and_grpc(engine) -> None:
    for client in clients(engine):
        with client:
            predict_everything(client)
            examples = [{"x": 2.0}, {"x": [4.0]}]
            assert client.classify("examples", examples, signature="classify_x_to_y") == [
                [ClassScore("", 3.0)],
                [ClassScore("", 4.0)],
            ]
            regressed = client.regress("examples", examples, signature="regress_x_to_y")
            assert_same(regressed, "f4", [3, 4])
            shared = client.regress("examples", [{}], context={"x": 6.0}, signature="regress_x_to_y")
            assert_same(shared, "f4", [5])
            (status,) = client.status("half_plus_two")
            assert (status.version, status.state, status.error_code) == (1, "AVAILABLE", "OK")
            metadata = client.metadata("multi_io", version=1)
            assert (metadata.name, metadata.version) == ("multi_io", 1)
            only = metadata.signatures["serving_default"]
            assert {alias: (one.dtype, one.shape) for alias, one in only.outputs.items()} == {
                "sum": ("float", (-1, 2)),
                "bigger": ("bool", (-1, 2)),
                "total": ("int32", (-1,)),
            }


FAILURES = [
    (lambda c: c.predict("nobody", [1]), Code.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
    (lambda c: c.predict("half_plus_two", [1], version=9), Code.NOT_FOUND, "Specific(half_plus_two, 9)"),
    (
        lambda c: c.predict("half_plus_two", [1], label="no"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: no",
    ),
    (
        lambda c: c.predict("half_plus_two", [1], signature="no"),
        Code.FAILED_PRECONDITION,
        'Serving signature key "no" not found.',
    ),
    (lambda c: c.predict("half_plus_two", ["x"]), Code.INVALID_ARGUMENT, "the signature wants float"),
    (
        lambda c: c.regress("examples", [{"x": 1.0}], signature="no"),
        Code.INVALID_ARGUMENT,
        "No signature was found with the name: no",
    ),
    (lambda c: c.status("nobody"), Code.NOT_FOUND, "nobody"),
    (lambda c: c.predict("half_plus_two", [1], version=1, label="x"), Code.INVALID_ARGUMENT, "either"),
]


def test_errors_have_their_codes_when_a_call_fails(engine) -> None:
    for client in clients(engine):
        for call, code, text in FAILURES:
            with pytest.raises(ServingError) as raised:
                call(client)
            assert raised.value.code is code
            assert text in raised.value.message
        client.close()


def test_signature_is_asked_for_again_when_a_new_version_has_another(served, start_engine, tmp_path) -> None:
    """The client has learnt `x` of version 1; version 2 takes `text` and `suffix`."""
    model = tmp_path / "changing"
    model.mkdir()
    (model / "1").symlink_to(served / "half_plus_two" / "1")
    engine = start_engine(f"--model_base_path={model}", "--model_name=changing")
    engine.wait_version("changing", 1)
    both = list(clients(engine))
    for client in both:
        assert_same(client.predict("changing", [2]), "f4", [3])
    (model / "2").symlink_to(served / "strings" / "1")
    engine.call("POST", "/control/models/changing/refresh")
    engine.wait_version("changing", 2)
    for client in both:
        with client:
            answer = client.predict("changing", {"text": ["a"], "suffix": ["b"]})
            assert_same(answer["joined"], object, [b"ab"])


IMPORTS = """
import sys
from jupyter_tfserve.client import Client
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_serving", "grpc"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
if sys.argv[1] == "absent":
    sys.meta_path.insert(0, Absent())
with Client(sys.argv[2]) as client:
    assert client.predict("half_plus_two", [2.0]).tolist() == [3.0]
assert "tensorflow" not in sys.modules
"""


def test_tensorflow_is_not_imported_when_the_client_predicts(engine) -> None:
    """REST does without its being installed, and gRPC says what it misses."""

    def run(installed: str, url: str):
        command = [sys.executable, "-c", IMPORTS, installed, url]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    grpc_url = f"grpc://{engine.connection.grpc_address}"
    for installed, url in (
        ("installed", engine.connection.rest_url),
        ("absent", engine.connection.rest_url),
        ("installed", grpc_url),
    ):
        done = run(installed, url)
        assert done.returncode == 0, done.stderr
    refused = run("absent", grpc_url)
    assert "FAILED_PRECONDITION: gRPC needs grpc, which is not installed" in refused.stderr
