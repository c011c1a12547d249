"""The examples' models behind one engine, on port 8501 as the examples say, if nobody else has it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.digits import render
from tests.conftest import run_maker
from tests.contract.engines import running_engine, wait_loaded
from tests.running_engine import RunningEngine

HERE = Path(__file__).parent
REST_PORT = 8501


def needed(program: str) -> str:
    """The path of a program; skips without it, fails where CI is set: there it must be installed."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def example_models(once) -> Path:
    """The folder that has the examples' models."""
    return once("client_models", lambda folder: run_maker("-m", "tests.clients.models", folder))


@pytest.fixture(scope="session")
def examples_engine(example_models, tmp_path_factory) -> Iterator[RunningEngine]:
    """Serves all of them; `production` is version 1 of regression_experiments."""
    names = ("regression_experiments", "MLP", "MLP_call", "MLP_jpeg")
    folder = tmp_path_factory.mktemp("examples_engine")
    config = folder / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{example_models / name}" model_platform: "tensorflow" '
        "model_version_policy { all {} } }\n"
        for name in names
    )
    config.write_text(f"model_config_list {{ {entries} }}")
    port = REST_PORT if _is_free(REST_PORT) else -1
    with running_engine(folder, f"--model_config_file={config}", f"--rest_api_port={port}") as running:
        wait_loaded(running, *names)
        for version in (1, 2):
            running.wait_version("regression_experiments", version)
        running.call("PUT", "/control/models/regression_experiments/labels/production", version=1)
        yield running


@pytest.fixture
def as_written(examples_engine) -> Callable[[str], str]:
    """An example's text, with the port that the engine got."""
    url = examples_engine.connection.rest_url or ""
    return lambda text: text.replace("http://localhost:8501", url.replace("127.0.0.1", "localhost"))


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory) -> Path:
    """DIGIT.png (140x140), DIGIT.jpg (56x56) and DIGIT.pgm (28x28) for every digit."""
    folder = tmp_path_factory.mktemp("digits")
    for digit in range(10):
        Image.fromarray(render(digit, side=140)).save(folder / f"{digit}.png")
        Image.fromarray(render(digit, side=56)).save(folder / f"{digit}.jpg", quality=92)
        Image.fromarray(render(digit)).save(folder / f"{digit}.pgm")
    return folder


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory) -> Path:
    """The Node.js clients with what they need, as `npm ci` installs it."""
    npm = needed("npm")
    folder = tmp_path_factory.mktemp("node_clients") / "node"
    shutil.copytree(HERE / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
