"""The committed bundle fits its sources, and the build hook does what it should with and without Node."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_BUNDLE_BYTES = 200_000

_spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
hatch_build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hatch_build)


def test_committed_bundle_was_made_from_the_committed_sources():
    bundle = ROOT / "jupyter_tfserve" / "labextension"
    assert hatch_build.is_fresh(ROOT / "labextension", bundle), "run `python hatch_build.py`"


def test_committed_bundle_is_small_and_names_its_package():
    bundle = ROOT / "jupyter_tfserve" / "labextension"
    assert sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()) < MAX_BUNDLE_BYTES
    package = json.loads((bundle / "package.json").read_text())
    assert (bundle / package["jupyterlab"]["_build"]["load"]).is_file()
    assert json.loads((bundle / "install.json").read_text())["packageName"] == "jupyter_tfserve"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project, a fake npm that writes a bundle, and a list of warnings."""
    monkeypatch.delenv("JUPYTER_TFSERVE_UI", raising=False)
    sources = tmp_path / "labextension"
    (sources / "src").mkdir(parents=True)
    (sources / "src" / "index.ts").write_text("1\n")
    (sources / "install.json").write_text("{}")
    tools = tmp_path / "tools"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text(
        "#!/bin/sh\necho $1 >> ../npm.log; test -e ../fail && exit 1\n"
        "mkdir -p ../jupyter_tfserve/labextension; echo {} > ../jupyter_tfserve/labextension/package.json\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run_hook(project):
    warnings = []
    hatch_build.ensure_bundle(project, warnings.append)
    log = project / "npm.log"
    return warnings, log.read_text().split() if log.exists() else []


def test_bundle_is_built_once_and_again_when_a_source_changes(project):
    assert run_hook(project) == ([], ["ci", "run"])
    assert run_hook(project) == ([], ["ci", "run"])
    (project / "labextension" / "src" / "index.ts").write_text("2\n")
    assert run_hook(project) == ([], ["ci", "run"] * 2)


def test_line_ends_of_a_checkout_make_no_difference(project):
    run_hook(project)
    (project / "labextension" / "src" / "index.ts").write_bytes(b"1\r\n")
    assert run_hook(project) == ([], ["ci", "run"])


def test_older_bundle_is_used_with_a_warning_when_npm_is_absent(project, monkeypatch):
    run_hook(project)
    (project / "labextension" / "src" / "index.ts").write_text("2\n")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (warning,), calls = run_hook(project)
    assert "npm is not here" in warning
    assert "the bundle that is there is used" in warning
    assert len(calls) == 2


def test_installation_goes_on_without_a_bundle_when_the_build_fails(project):
    (project / "fail").touch()
    (warning,), _ = run_hook(project)
    assert "there is none" in warning
    assert (project / "jupyter_tfserve" / "labextension").is_dir()


def test_failed_build_is_an_error_when_the_bundle_is_required(project, monkeypatch):
    monkeypatch.setenv("JUPYTER_TFSERVE_UI", "require")
    (project / "fail").touch()
    with pytest.raises(subprocess.CalledProcessError):
        run_hook(project)


def test_npm_is_not_run_when_told_so(project, monkeypatch):
    monkeypatch.setenv("JUPYTER_TFSERVE_UI", "skip")
    assert run_hook(project)[1] == []
