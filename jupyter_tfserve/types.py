"""The nouns of serving: servables, versions, labels, signatures, tensors.

Values only, shared by every layer; the names are TensorFlow Serving's. Imports numpy for types, nothing of ours
but `errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

DEFAULT_SIGNATURE: Final = "serving_default"
MAX_VERSION: Final = 2**63 - 1

Tensor: TypeAlias = NDArray[Any]
"""One tensor. Strings are object arrays of `bytes`; bfloat16 and friends are ml_dtypes arrays."""

Tensors: TypeAlias = Mapping[str, Tensor]
"""Tensors by signature alias."""


@dataclass(frozen=True, slots=True, order=True)
class ServableId:
    """One version of one model."""

    name: str
    version: int

    def __str__(self) -> str:
        """`{name: m version: 1}`, as TensorFlow Serving prints it."""
        return f"{{name: {self.name} version: {self.version}}}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a request asks for. At most one of `version` and `label`; neither means the latest.

    An empty `signature_name` means `serving_default`.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature.

    `tensor_name` is the graph's name, `dtype` TensorFlow's name (`float`, `int32`, `string`, `half`, …);
    `shape` is None for an unknown rank, and holds -1 for an unknown dimension.
    """

    tensor_name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """One entry of a SavedModel's signature map. `defaults` holds the inputs that a gRPC caller may omit."""

    method_name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Tensors = field(default_factory=dict)


def parse_version(text: str) -> int | None:
    """The version that a URL or a user wrote, or None if it is no version.

    ASCII digits only: `int()` would also take `1_0`, ` 7`, `+1` and other scripts' digits.
    """
    if re.fullmatch("[0-9]{1,19}", text) is None:
        return None
    version = int(text)
    return version if version <= MAX_VERSION else None
