"""The echo model's inputs: one for each dtype, named after it, that comes back as the output of that name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from jupyter_tfserve.codec.dtypes import numpy_dtype

JSON_DTYPES: Final = (
    "float",
    "double",
    "half",
    "bfloat16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "string",
)
DTYPES: Final = (*JSON_DTYPES, "complex64", "complex128")


def echo_inputs(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors given, and empty ones for all other inputs."""
    return {name: sent.get(name, np.empty(0, numpy_dtype(name))) for name in DTYPES}
