"""The light client against a real engine: REST and gRPC give the same arrays, and neither imports TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from jupyter_tfserve.client import Client
from jupyter_tfserve.errors import Code, ServingError
from tests.contract.engines import running_engine
from tests.engine.light_client_calls import ask_everything, assert_same

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def engine(served, tmp_path_factory):
    with running_engine(tmp_path_factory.mktemp("light"), f"--model_base_path={served}") as engine:
        for name in MODELS:
            engine.wait_version(name, 1)
        engine.wait_version("examples", 123)
        yield engine


def clients(engine):
    yield Client(engine.connection.rest_url)
    yield Client(engine.connection.rest_url, encoding="npy")
    yield Client(f"grpc://{engine.connection.grpc_address}/")


def test_answers_are_the_same_when_asked_over_rest_and_grpc(engine) -> None:
    for client in clients(engine):
        with client:
            ask_everything(client)


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


DISTRIBUTIONS = (
    *("numpy", "ml_dtypes", "orjson", "httpx", "httpcore", "h11", "anyio", "idna", "certifi"),
    *("grpcio", "protobuf", "typing_extensions"),
)
ALONE = """
import sys
from jupyter_tfserve.client import Client
from tests.engine.light_client_calls import ask_everything
for url in sys.argv[1:]:
    with Client(url) as client:
        ask_everything(client)
assert "tensorflow" not in sys.modules
"""


def make_site(folder: Path, *distributions: str) -> Path:
    """A folder that has these distributions and nothing else, as an environment of its own would."""
    folder.mkdir()
    for distribution in distributions:
        for file in metadata.files(distribution) or ():
            top = folder / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not top.exists():
                top.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0])
    return folder


def run_alone(site: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the source where only `site` and this package can be imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-S", "-c", source, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_every_method_answers_when_tensorflow_is_not_installed(engine, tmp_path) -> None:
    site = make_site(tmp_path / "site", *DISTRIBUTIONS)
    absent = run_alone(site, "import tensorflow")
    assert "No module named 'tensorflow'" in absent.stderr
    done = run_alone(site, ALONE, engine.connection.rest_url, f"grpc://{engine.connection.grpc_address}")
    assert done.returncode == 0, done.stderr


def test_grpc_is_refused_with_its_reason_when_grpcio_is_not_installed(engine, tmp_path) -> None:
    site = make_site(tmp_path / "site", *DISTRIBUTIONS[:-3])
    assert run_alone(site, ALONE, engine.connection.rest_url).returncode == 0
    refused = run_alone(site, ALONE, f"grpc://{engine.connection.grpc_address}")
    assert "FAILED_PRECONDITION: gRPC needs grpc, which is not installed" in refused.stderr


def test_tensorflow_is_not_imported_when_it_is_installed(engine) -> None:
    source = ALONE.replace("ask_everything(client)", 'client.predict("half_plus_two", [2.0])')
    command = [sys.executable, "-c", source, f"grpc://{engine.connection.grpc_address}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
