"""When a label may point at a version: server_core.cc's rule, as a pure function."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from jupyter_tfserve.errors import Code, ServingError, invalid_argument

VERSION_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What a person may call a version; a config file may have others."""


def check_label(label: str) -> None:
    """Passes if a person may give that label; INVALID_ARGUMENT with the grammar otherwise."""
    if VERSION_LABEL.fullmatch(label) is None:
        raise invalid_argument(
            f"{label[:200]!r} cannot be a version label",
            hint="Letters, digits, '_', '.' and '-', at most 128; a letter or digit first.",
        )


def validate_labels(
    model: str,
    old: Mapping[str, int],
    new: Mapping[str, int],
    available: Collection[int],
    allow_unavailable: bool = False,
) -> None:
    """Passes if every label of `new` may be set now, else FAILED_PRECONDITION with upstream's text.

    A target must be available. With `allow_unavailable` (--allow_version_labels_for_unavailable_models) it
    need not be, unless the label is in use for another version.
    """
    for label, version in new.items():
        if not label:
            raise invalid_argument(f"Model {model} has a version label without a name")
        if version in available:
            continue
        if allow_unavailable and old.get(label, version) == version:
            continue
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Request to assign label to version {version} of model {model}, "
            "which is not currently available for inference",
            hint=_next_step(model, version, available),
        )


def _next_step(model: str, version: int, available: Collection[int]) -> str:
    if available:
        return f"Load version {version} first, then set the label."
    return (
        f"No version of {model} is loaded yet. Serve it without the label first, then set the label; or start the "
        "server with --allow_version_labels_for_unavailable_models."
    )
