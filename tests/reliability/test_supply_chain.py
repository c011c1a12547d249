"""S14: no older server than the one whose holes are mended; every package of the front end by its hash; the databases."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.reliability.report import ROOT

MENDED = {"tornado": "6.5.6", "jupyter-server": "2.18"}
"""What talks to browsers: below these are known holes (paths outside the root, forged origins, quadratic headers)."""
UNREACHABLE = (
    "ConnectionError",
    "could not be audited",
    "audit endpoint returned an error",
    "ENOTFOUND",
    "EAI_AGAIN",
)


@pytest.mark.parametrize("name", MENDED)
def test_server_with_known_holes_is_not_taken(name) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(rf'^  "({name}[<>=].*)",$', text, re.MULTILINE)
    floors = [Version(one.version) for one in Requirement(line).specifier if one.operator == ">="]
    assert floors
    assert min(floors) >= Version(MENDED[name])
    assert Version(version(name)) >= Version(MENDED[name])


def test_every_package_of_the_front_end_is_held_by_its_hash(record_case) -> None:
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name and not one.get("link")}
    loose = [name for name, one in packages.items() if not one.get("integrity", "").startswith("sha512-")]
    record_case("S14", "packages of the front end without a hash", len(loose), f"of {len(packages)}")
    assert loose == []


@pytest.mark.nightly
@pytest.mark.parametrize("ecosystem", ["python", "npm"])
def test_no_known_hole_is_high_in_what_is_installed(tmp_path, record_case, ecosystem) -> None:
    """Asks databases on the internet; skipped, with its word, where they do not answer."""
    if ecosystem == "npm":
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed")
        command = ["npm", "audit", "--omit=dev", "--audit-level=high"]
    else:
        if shutil.which("pip-audit") is None:
            pytest.skip("pip-audit is not installed")
        frozen = subprocess.run(
            [sys.executable, "-m", "pip", "freeze", "--exclude-editable"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        pinned = [line for line in frozen.splitlines() if "==" in line]
        (tmp_path / "installed.txt").write_text("\n".join(pinned))
        command = [
            "pip-audit",
            "--disable-pip",
            "--no-deps",
            "--progress-spinner=off",
            "-r",
            str(tmp_path / "installed.txt"),
        ]
    done = subprocess.run(
        command, cwd=ROOT / "labextension", capture_output=True, text=True, check=False, timeout=240
    )
    told = done.stdout + done.stderr
    unreachable = [word for word in UNREACHABLE if word in told]
    if unreachable:
        pytest.skip(f"the database does not answer: {unreachable[0]}")
    record_case("S14", f"audit of {ecosystem}, exit status", done.returncode, "")
    assert done.returncode == 0, told[-2000:]
