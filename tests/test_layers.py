"""The layers of docs/architecture.md, as pyproject's contracts for import-linter."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
HAS_LINTER = importlib.util.find_spec("importlinter") is not None


@pytest.mark.skipif(not HAS_LINTER, reason="import-linter is not installed; it is in the [dev] extra")
def test_layers_hold() -> None:
    """No module imports from above its layer, and only the worker's modules import TensorFlow."""
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
