"""What a person writes to ask a model something: the target `MODEL[@LABEL|/VERSION]` and the body. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import ModelSpec, parse_version

TARGET_HINT = "Write MODEL, MODEL@LABEL or MODEL/VERSION."
LONGEST_SOURCE = 40
"""Characters of an expression that are still repeated in a line that a person copies."""


def parse_target(text: str, signature_name: str = "") -> ModelSpec:
    """The model, and the version or label if one is named. INVALID_ARGUMENT for any other text."""
    name, at, label = text.rpartition("@")
    if at:
        if not name or not label:
            raise invalid_argument(f"{text!r} does not name a model and a label.", TARGET_HINT)
        return ModelSpec(name, label=label, signature_name=signature_name)
    name, slash, number = text.rpartition("/")
    if slash:
        version = parse_version(number)
        if not name or version is None:
            raise invalid_argument(f"{number!r} is not a version: versions are whole numbers.", TARGET_HINT)
        return ModelSpec(name, version, signature_name=signature_name)
    if not text:
        raise invalid_argument("No model is named.", TARGET_HINT)
    return ModelSpec(text, signature_name=signature_name)


def predict_document(inputs: object) -> Mapping[str, Any]:
    """The request for `inputs`.

    A list or an array of rank 1 or more is rows (`instances`); a dict is columns by input name (`inputs`),
    unless it already is a request; a single value is one scalar input.
    """
    if isinstance(inputs, Mapping):
        is_request = "instances" in inputs or "inputs" in inputs
        return inputs if is_request else {"inputs": inputs}
    if isinstance(inputs, tuple):
        inputs = list(inputs)
    rank = getattr(inputs, "ndim", None)
    if isinstance(inputs, list) or (rank is not None and rank > 0):
        return {"instances": inputs}
    return {"inputs": inputs}


def evaluate_body(text: str, namespace: Mapping[str, Any]) -> object:
    """The value of a cell's body: JSON, or else a Python expression over the user's own variables."""
    if not text.strip():
        raise invalid_argument("The cell is empty: write the rows to predict, for example [[1.0], [2.0]].")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        compile(text.strip(), "<query>", "eval")
    except (SyntaxError, ValueError) as error:
        raise invalid_argument(
            f"The body is neither JSON nor a Python expression: {error.args[0]}.",
            "Write rows such as [[1.0], [2.0]], or an expression such as x_test[:5].",
        ) from error
    return evaluate(text, namespace)


def source_of(text: str) -> str:
    """How a hint may call the value of a cell's body: the expression itself if it is a short one, else `x`."""
    text = text.strip()
    return text if len(text) <= LONGEST_SOURCE and not text.startswith("{") else "x"


def evaluate(expression: str, namespace: Mapping[str, Any]) -> object:
    """The value of a Python expression over the user's own variables. INVALID_ARGUMENT when it has none."""
    try:
        # The text is the user's own code in the user's own kernel, as any cell is.
        return eval(expression.strip(), dict(namespace))  # noqa: S307
    except SyntaxError as error:
        raise invalid_argument(f"{expression.strip()!r} is not a Python expression: {error.msg}.") from error
    except (NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise invalid_argument(f"{type(error).__name__}: {error}") from error
