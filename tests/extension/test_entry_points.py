"""What Jupyter and IPython import: found by name, light, and free of TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_tfserve

REPOSITORY = Path(jupyter_tfserve.__file__).parents[1]


def modules_after(statement):
    code = (
        f"import sys, json; {statement}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import jupyter_tfserve",
        "import jupyter_tfserve; jupyter_tfserve._jupyter_server_extension_points()",
        "import jupyter_tfserve.engine.launch",
    ],
)
def test_import_brings_no_heavy_library(statement):
    assert not modules_after(statement) & {"tensorflow", "numpy", "grpc", "google", "matplotlib", "IPython"}


def test_package_itself_imports_nothing():
    assert not modules_after("import jupyter_tfserve") & {"tornado", "jupyter_server", "psutil", "httpx"}


def test_extension_point_names_the_app_that_the_config_file_enables():
    (point,) = jupyter_tfserve._jupyter_server_extension_points()
    assert (point["module"], point["app"].name) == ("jupyter_tfserve", "jupyter_tfserve")
    shipped = REPOSITORY / "jupyter-config" / "server-config" / "jupyter_tfserve.json"
    assert json.loads(shipped.read_text()) == {
        "ServerApp": {"jpserver_extensions": {"jupyter_tfserve": True}}
    }


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_here"):
        jupyter_tfserve.nothing_here  # noqa: B018


def test_notebook_names_are_there_when_asked_for():
    from jupyter_tfserve.notebook import api, server

    assert jupyter_tfserve.connect is api.connect
    assert jupyter_tfserve.Server is server.Server
