"""Builds the JupyterLab part when its sources are not those that the committed bundle was made from.

The bundle carries a stamp, the hash of its sources. Equal: nothing to do, and no Node is needed. Else npm builds
it anew; without npm the bundle that is there is used, with a warning. `python hatch_build.py` does the same by hand.
`JUPYTER_TFSERVE_UI=require` turns the warning into an error, `=skip` never runs npm.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where only the build's own environment has hatchling
    BuildHookInterface = object

INPUTS = ("install.json", "package.json", "package-lock.json", "tsconfig.json", "schema", "src", "style")
STAMP = "source-hash.txt"


class LabextensionHook(BuildHookInterface):  # type: ignore[misc]
    """What hatchling finds here."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the files of a wheel are gathered; editable installations too."""
        ensure_bundle(Path(self.root), self.app.display_warning)


def ensure_bundle(root: Path, warn: Callable[[str], object]) -> None:
    """The bundle is there, and fits its sources if that can be had."""
    sources, bundle = root / "labextension", root / "jupyter_tfserve" / "labextension"
    if not sources.is_dir() or is_fresh(sources, bundle):
        return
    wish = os.environ.get("JUPYTER_TFSERVE_UI", "")
    npm = None if wish == "skip" else shutil.which("npm")
    try:
        if npm is None:
            raise OSError("npm is not here")
        build(npm, sources, bundle)
    except (OSError, subprocess.CalledProcessError) as error:
        if wish == "require":
            raise
        used = "the bundle that is there is used" if (bundle / "package.json").exists() else "there is none"
        warn(f"the JupyterLab part could not be built ({error}); {used}")
        # The wheel's list of shared files names the folder.
        bundle.mkdir(parents=True, exist_ok=True)


def is_fresh(sources: Path, bundle: Path) -> bool:
    """Whether the bundle was made from these sources."""
    try:
        stamp = (bundle / STAMP).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return (bundle / "package.json").exists() and stamp == source_hash(sources)


def build(npm: str, sources: Path, bundle: Path) -> None:
    """A new bundle with its stamp."""
    for arguments in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "build:prod"]):
        # Standard output belongs to the build backend's caller.
        subprocess.run([npm, *arguments], cwd=sources, check=True, stdout=sys.stderr)  # noqa: S603
    # After the build, which empties the folder. Not shared data of its own: an editable installation would
    # write it through a developer's link into the sources.
    shutil.copy(sources / "install.json", bundle)
    (bundle / STAMP).write_text(source_hash(sources) + "\n", encoding="ascii")


def source_hash(sources: Path) -> str:
    """The same for the same text, however line ends were checked out."""
    digest = hashlib.sha256()
    for path in _source_files(sources):
        digest.update(path.relative_to(sources).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def _source_files(sources: Path) -> Iterator[Path]:
    for name in INPUTS:
        path = sources / name
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.exists():
            yield path


if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_TFSERVE_UI", "require")
    ensure_bundle(Path(__file__).parent, lambda text: print(text, file=sys.stderr))
