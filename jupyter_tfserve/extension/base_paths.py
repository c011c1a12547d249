"""Which folders a request may have served: those inside the allowed ones, once every link is followed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.lifecycle.roots import is_inside

CONFIG_NAME = "c.TFServe.allowed_base_paths"


def allowed_path(path: str, root_dir: str, allowed: Sequence[str]) -> str:
    """`path` made absolute against `root_dir`, if it lies inside an allowed folder.

    PERMISSION_DENIED if it does not, once every link is followed. The path itself is returned, not what its
    links lead to, so that a folder has one name for the kernel and for the Jupyter server.
    """
    if "\0" in path or not path:
        raise invalid_argument("'path' must name a folder")
    absolute = os.path.abspath(os.path.join(root_dir, os.path.expanduser(path)))
    check_path(absolute, allowed, path)
    return absolute


def check_path(path: str, allowed: Sequence[str], shown: str) -> None:
    """Passes if `path`, read as the operating system reads it, lies inside an allowed folder."""
    if "://" in shown or not is_inside(path, allowed):
        raise ServingError(
            Code.PERMISSION_DENIED,
            f"'{shown}' is outside the folders that this Jupyter server may serve models from",
            f"Allowed: {', '.join(allowed)}. To allow more, set {CONFIG_NAME} in jupyter_server_config.py.",
        )
