"""Imports TensorFlow without its greeting.

Its libraries write about CPUs and missing GPUs to the process's own standard error, past Python and, since
they do so before any setting is read, past `TF_CPP_MIN_LOG_LEVEL` as well.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

LEVEL_VARIABLE: Final = "TF_CPP_MIN_LOG_LEVEL"
ERRORS_ONLY: Final = "3"


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """What is imported inside greets nobody; TensorFlow's log has only errors afterwards. An import error is raised."""
    os.environ.setdefault(LEVEL_VARIABLE, ERRORS_ONLY)
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
