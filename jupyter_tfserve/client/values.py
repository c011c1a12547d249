"""What the client answers with and what carries it: values, and the face that REST and gRPC share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jupyter_tfserve.types import ModelSpec, Signature, Tensor, Tensors

Feature: TypeAlias = Any
"""A feature of an Example: a number, a string, bytes, or a flat sequence of one of these."""

ExampleFeatures: TypeAlias = Mapping[str, Feature]
"""One Example: its features by name."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What classification and regression are asked about; `context` holds features that all Examples share."""

    examples: Sequence[ExampleFeatures]
    context: ExampleFeatures | None = None


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of a classification."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version of a model: its state (`AVAILABLE`, …) and the error that led there (`OK` if none)."""

    version: int
    state: str
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """The version that answers, and its signatures by key."""

    name: str
    version: int
    signatures: Mapping[str, Signature]


class Transport(Protocol):
    """A protocol's side of the client. Every method blocks, for at most `timeout_s`, and raises ServingError."""

    def predict(
        self, spec: ModelSpec, inputs: Tensors, signature: Signature, timeout_s: float
    ) -> dict[str, Tensor]:
        """The outputs by alias. REQUIRES: `inputs` fit `signature`."""

    def classify(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> list[list[ClassScore]]:
        """The classes of each Example."""

    def regress(self, spec: ModelSpec, examples: Examples, timeout_s: float) -> NDArray[np.float32]:
        """The value of each Example."""

    def status(self, spec: ModelSpec, timeout_s: float) -> tuple[VersionStatus, ...]:
        """The versions in descending order."""

    def metadata(self, spec: ModelSpec, timeout_s: float) -> Metadata:
        """The version that answers, and its signatures."""

    def close(self) -> None:
        """Gives the connections back."""
