"""Which folders models may be served from: those inside the allowed ones, once every link is followed. Blocking.

A model is a program, so its folder is checked when it is opened and again before each load. Between that check and
TensorFlow's own reading a folder can still be changed by whoever may write there: roots are for folders that
strangers cannot write to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_tfserve.errors import Code, ServingError

if TYPE_CHECKING:
    from jupyter_tfserve.lifecycle.config import ModelConfig


def is_inside(path: str, roots: Iterable[str]) -> bool:
    """Whether `path` lies in one of `roots`, all of them as they are once every link is followed."""
    real = os.path.realpath(path)
    return any(_is_below(real, os.path.realpath(root)) for root in roots)


def check_folder(path: str, roots: Sequence[str], shown: str) -> None:
    """Passes if there are no roots, or `path` is in one; PERMISSION_DENIED that names `shown` otherwise."""
    if roots and ("://" in path or "\0" in path or not is_inside(path, roots)):
        raise ServingError(
            Code.PERMISSION_DENIED,
            f"'{shown}' is outside the folders that this server may serve models from",
            f"Allowed: {', '.join(roots)}. To allow more, start the server with other --allowed_roots.",
        )


def check_models(models: Iterable[ModelConfig], roots: Sequence[str]) -> None:
    """`check_folder` for the base path of each of `models`."""
    # Here, since it brings numpy, which a Jupyter server that only checks folders does without.
    from jupyter_tfserve.lifecycle.config import local_path

    for model in models:
        check_folder(local_path(model.base_path), roots, model.base_path)


def check_version(folder: Path, roots: Sequence[str]) -> None:
    """Passes if everything in a version's folder is a file or a folder, and none of it leads out of `roots`."""
    if not roots:
        return
    check_folder(str(folder), roots, folder.name)
    for current, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _check_entry(os.path.join(current, name), roots, name)


def _check_entry(path: str, roots: Sequence[str], name: str) -> None:
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            check_folder(path, roots, name)
            mode = os.stat(path).st_mode
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ServingError(Code.FAILED_PRECONDITION, f"'{name}' of the version: {reason}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ServingError(Code.PERMISSION_DENIED, f"'{name}' of the version is neither a file nor a folder")


def _is_below(path: str, root: str) -> bool:
    # Not startswith: "/data-secret" starts with "/data".
    try:
        return os.path.commonpath([path, root]) == root
    except ValueError:  # other drives
        return False
