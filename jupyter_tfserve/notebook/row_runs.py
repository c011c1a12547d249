"""Rows sent to a model: all of them in batches for their answers, some one by one for the time they take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.notebook.progress import Say
from jupyter_tfserve.notebook.reply import ask
from jupyter_tfserve.types import ModelSpec, Signature, Tensor

BATCH_ROWS: Final = 256
TIMED_REQUESTS: Final = 40
TIMED_AT_MOST_S: Final = 5.0


def count_rows(document: Mapping[str, Any]) -> int:
    """The rows of a request; INVALID_ARGUMENT when it has none."""
    columns = _columns(document)
    counts = {len(column) for column in columns if hasattr(column, "__len__")}
    if len(counts) != 1 or 0 in counts:
        raise invalid_argument(
            "There are no rows to send.", "Give an array or a list of rows, such as x_test."
        )
    return counts.pop()


def cut_rows(document: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    """The request for some of the rows."""
    if "instances" in document:
        return {**document, "instances": document["instances"][start:stop]}
    inputs = document["inputs"]
    if isinstance(inputs, Mapping):
        return {**document, "inputs": {alias: column[start:stop] for alias, column in inputs.items()}}
    return {**document, "inputs": inputs[start:stop]}


def answer_rows(
    client: ControlClient,
    spec: ModelSpec,
    document: Mapping[str, Any],
    signatures: Mapping[str, Signature],
    output: str | None,
    say: Say,
) -> Tensor:
    """One output's values for all rows."""
    count = count_rows(document)
    parts = []
    for start in range(0, count, BATCH_ROWS):
        say(f"Asking {spec.name}", start / count)
        part = cut_rows(document, start, start + BATCH_ROWS)
        parts.append(choose_output(ask(client, spec, part, signatures).value, output))
    return np.concatenate(parts)


def choose_output(value: Tensor | dict[str, Tensor], output: str | None) -> Tensor:
    """The named output, or the only one. INVALID_ARGUMENT that lists the names."""
    if not isinstance(value, dict):
        return value
    if output in value:
        return value[output]
    if output is None and len(value) == 1:
        return next(iter(value.values()))
    raise invalid_argument("Which output?", f"Name it with --output: {', '.join(sorted(value))}.")


def time_rows(
    client: ControlClient, specs: tuple[ModelSpec, ModelSpec], document: Mapping[str, Any], say: Say
) -> tuple[Tensor, Tensor]:
    """Milliseconds of single-row requests to both, by turns, so that a busy moment of the host hits both."""
    count = count_rows(document)
    times: tuple[list[float], list[float]] = ([], [])
    deadline = time.monotonic() + TIMED_AT_MOST_S
    # The first of each is not counted: connections and caches are made then.
    for number in range(TIMED_REQUESTS + 1):
        say("Timing single rows", number / TIMED_REQUESTS)
        row = number % count
        for spec, own in zip(specs, times, strict=True):
            one = cut_rows(document, row, row + 1)
            began = time.perf_counter()
            client.predict(spec, one)
            own.append(1000 * (time.perf_counter() - began))
        if time.monotonic() > deadline:
            break
    return tuple(np.array(own[1:] or own) for own in times)  # type: ignore[return-value]  # two of them


def _columns(document: Mapping[str, Any]) -> list[Any]:
    if "instances" in document:
        return [document["instances"]]
    inputs = document["inputs"]
    return list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
