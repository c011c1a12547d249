"""One question to a model and its answer, with all that a person may want to see of both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_tfserve.codec.explanation import NOT_ABOUT_THE_INPUT, explained
from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.time_split import split_stages
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensor


@dataclass(frozen=True, slots=True)
class Reply:
    """What was asked and what came: numpy in `value`, `elapsed_s` as the caller saw it.

    `stages` says where that time went, in seconds; empty if the server did not tell.
    """

    spec: ModelSpec
    document: Mapping[str, Any]
    signature: Signature | None
    value: Tensor | dict[str, Tensor]
    elapsed_s: float
    stages: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    """What else happened on the way."""


def ask(
    client: ControlClient,
    spec: ModelSpec,
    document: Mapping[str, Any],
    signatures: Mapping[str, Signature],
    source: str = "x",
) -> Reply:
    """The model's answer. A refusal keeps the server's words; its hint tells where input and signature differ."""
    name = spec.signature_name or str(document.get("signature_name") or DEFAULT_SIGNATURE)
    signature = signatures.get(name)
    began = time.perf_counter()
    try:
        value, told = client.predict_timed(spec, document, signature)
    except ServingError as error:
        raise _explained(error, document, signatures, name, source) from error
    elapsed_s = time.perf_counter() - began
    return Reply(spec, document, signature, value, elapsed_s, split_stages(told, elapsed_s))


def _explained(
    error: ServingError,
    document: Mapping[str, Any],
    signatures: Mapping[str, Signature],
    name: str,
    source: str,
) -> ServingError:
    if error.code in NOT_ABOUT_THE_INPUT or not signatures:
        return error
    if name not in signatures:
        return ServingError(error.code, error.message, f"Its signatures: {', '.join(sorted(signatures))}.")
    # The server saw the document; here it is known how the person wrote it.
    own = explained(ServingError(error.code, error.message), document, signatures[name], source)
    return error if own.hint is None else own
