"""Fixtures that more than one package's tests use. Keep it small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_saved_models(tmp_path_factory):
    """Makes models, `make_saved_models("version=4", …)`; returns the folder that has NAME/VERSION in it."""
    base = tmp_path_factory.mktemp("saved_models")
    script = Path(__file__).parent / "saved_models.py"

    def make(*wanted: str) -> Path:
        command = [sys.executable, str(script), str(base), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return base

    return make


@pytest.fixture(scope="session")
def saved_models(make_saved_models) -> Path:
    """Every model of `saved_models.py` as NAME/1, and version/2 and version/3 (some seconds, once)."""
    make_saved_models()
    return make_saved_models("version=2", "version=3")
