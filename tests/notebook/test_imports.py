"""What a kernel pays for `%load_ext`: no TensorFlow."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["magics", "api", "demo", "demo_models", "save"])
def test_tensorflow_is_not_imported_when_a_module_is(module):
    code = (
        f"import sys, jupyter_tfserve.notebook.{module}; print({{'tensorflow', 'keras'}} & {{*sys.modules}})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "set()\n"


def test_types_are_told_to_checkers_when_the_package_is_installed():
    """Without the marker `mypy --strict` refuses `from jupyter_tfserve import connect`."""
    assert (importlib.resources.files("jupyter_tfserve") / "py.typed").is_file()
