"""binder/: the same packages as pyproject.toml asks for, and an installation that runs the quick start in 2 GB.

repo2docker runs `pip install -r binder/requirements.txt` and `binder/postBuild` in the repository's folder; so does
the nightly test, in a virtual environment and without Node.js, and it starts Jupyter behind a hub's kind of prefix.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import httpx
import nbformat
import psutil
import pytest

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
OWN = {"tensorflow", "tensorflow-serving-api"}
"""Not in requirements.txt: the one is replaced by tensorflow-cpu, the other comes with postBuild."""
MEMORY_LIMIT = 2 * 10**9
START_TIMEOUT_S = 60
CELL_TIMEOUT_S = 120
PREFIX = "/user/ann/"


def requirements(lines):
    """Version bounds by name."""
    found = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            name = re.match(r"[A-Za-z0-9_-]+", text).group()
            found[name] = text.removeprefix(name).replace(" ", "")
    return found


def declared(key):
    """The strings of a list in pyproject.toml; Python 3.10 has no parser for it."""
    text = (ROOT / "pyproject.toml").read_text()
    return re.findall(
        r'"([^"]+)"', re.search(rf"^{key} = \[(.*?)\]", text, re.DOTALL | re.MULTILINE).group(1)
    )


def test_binder_installs_what_the_package_asks_for():
    listed = requirements((BINDER / "requirements.txt").read_text().splitlines())
    asked = requirements(declared("dependencies"))
    assert listed.pop("tensorflow-cpu") == asked["tensorflow"]
    assert listed.pop("jupyterlab") == requirements(declared("lab"))["jupyterlab"]
    assert listed == {name: bounds for name, bounds in asked.items() if name not in OWN}


def test_post_build_installs_the_rest_without_dependencies():
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    line = next(line for line in script.read_text().splitlines() if "pip install" in line)
    bounds = requirements(declared("dependencies"))["tensorflow-serving-api"]
    assert "--no-deps" in line
    assert line.endswith(f"'tensorflow-serving-api{bounds}' .")


def test_python_of_binder_is_one_of_ours():
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert f"Programming Language :: Python :: {version}" in declared("classifiers")


@pytest.fixture(scope="module")
def path_without_node(tmp_path_factory):
    """The system's programs but Node.js, which Binder's image has not."""
    folder = tmp_path_factory.mktemp("programs")
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith(("node", "npm", "npx", "corepack")):
            (folder / program.name).symlink_to(program)
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory, path_without_node):
    """(the repository's copy, the environment's variables), installed as repo2docker does it."""
    folder = tmp_path_factory.mktemp("binder")
    repository, venv = folder / "repository", folder / "venv"
    subprocess.run(["git", "clone", "-q", ROOT, repository], check=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{venv / 'bin'}:{path_without_node}"
    install = "pip install -q -r binder/requirements.txt && ./binder/postBuild"
    subprocess.run(["bash", "-ec", install], cwd=repository, env=environment, check=True)
    return repository, environment


@pytest.fixture
def jupyter(image, tmp_path):
    """(process, address, folder of connection files) of a server as Binder starts it."""
    repository, environment = image
    runtime = tmp_path / "runtime"
    environment = environment | {"JUPYTER_RUNTIME_DIR": str(runtime), "IPYTHONDIR": str(tmp_path / "ipython")}
    flags = ["--no-browser", "--allow-root", "--ServerApp.port=0", f"--ServerApp.base_url={PREFIX}"]
    command = ["jupyter", "lab", *flags, "--IdentityProvider.token=hush"]
    with (tmp_path / "log").open("wb") as log:
        executable = environment["PATH"].partition(":")[0] + "/jupyter"
        process = subprocess.Popen(
            command, executable=executable, cwd=repository, env=environment, stdout=log, stderr=log
        )
        try:
            yield process, _address(process, runtime, tmp_path / "log"), runtime
        finally:
            process.terminate()
            process.wait(60)


def _address(process, runtime, log):
    """The server's URL, once it answers: it is written down a little before."""
    described = runtime / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(httpx.TransportError, FileNotFoundError, json.JSONDecodeError):
            url = json.loads(described.read_text())["url"].replace("localhost", "127.0.0.1")
            if httpx.get(f"{url}api", trust_env=False).status_code == 200:
                return url
        time.sleep(0.05)


def run_notebook(connection_file, notebook):
    """Runs every cell in that kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jupyter_client.blocking import BlockingKernelClient

        client = BlockingKernelClient(connection_file=str(connection_file))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(START_TIMEOUT_S)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    reply = client.execute(cell.source, reply=True, timeout=CELL_TIMEOUT_S)["content"]
                    assert reply["status"] == "ok", (cell.source, reply)
        finally:
            client.stop_channels()


def memory_of(process):
    """Bytes by command line, of a process and all below it: shared pages are shared out between their owners."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return [(" ".join(one.cmdline())[-60:], one.memory_full_info().pss) for one in tree]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_quick_start_runs_in_two_gigabytes_and_is_asked_through_the_prefix(jupyter, image):
    process, url, runtime = jupyter
    assert url.endswith(PREFIX)
    with httpx.Client(
        base_url=url, headers={"Authorization": "token hush"}, trust_env=False, timeout=60
    ) as client:
        kernel = client.post("api/kernels", json={"name": "python3", "path": "notebooks"}).json()["id"]
        notebook = nbformat.read(image[0] / "notebooks" / "01_quickstart.ipynb", as_version=4)
        run_notebook(runtime / f"kernel-{kernel}.json", notebook)
        memory = memory_of(process)
        for name, size in memory:
            print(f"{size / 10**6:7.0f} MB  {name}")
        path = "jupyter-tfserve/v1/models/regression_experiments"
        answer = client.post(f"{path}:predict", json={"instances": [[1.0]]})
        assert answer.json().keys() == {"predictions"}, answer.text
        assert client.get(f"{path}/openapi.json").json()["openapi"] == "3.1.0"
        assert client.get("jupyter-tfserve/").status_code == 200
        anonymous = httpx.post(f"{url}{path}:predict", json={"instances": [[1.0]]}, trust_env=False)
        assert anonymous.status_code in (302, 403)
    assert sum(size for _, size in memory) < MEMORY_LIMIT
