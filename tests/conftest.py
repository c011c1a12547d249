"""Fixtures that more than one package's tests use. Keep it small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_saved_models(tmp_path_factory):
    """Makes models, `make_saved_models("version=4", …)`; returns a new folder that has NAME/VERSION in it."""
    script = Path(__file__).parent / "saved_models.py"

    def make(*wanted: str) -> Path:
        # A folder of its own each time: another test's models must not get a version more.
        base = tmp_path_factory.mktemp("saved_models")
        command = [sys.executable, str(script), str(base), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return base

    return make


@pytest.fixture(scope="session")
def saved_models(make_saved_models) -> Path:
    """Every model of `saved_models.py` as NAME/1, and version/2 and version/3 (some seconds, once)."""
    return make_saved_models("*=1", "version=2", "version=3")
