"""Where in a config file a model stands, for errors about what the text means rather than how it is written. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig, validate_models

_MARK: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*|[{}<>]|\n')
"""What decides how deep a place is: strings and comments hide braces."""


def entry_lines(text: str) -> tuple[int, ...]:
    """The line at which each entry of the model_config_list begins, in text format or JSON; counted from 1."""
    entry_depth = 2 if text.lstrip().startswith("{") else 1
    lines, line, depth = [], 1, 0
    for found in _MARK.findall(text):
        if found == "\n":
            line += 1
        elif found in ("{", "<"):
            if depth == entry_depth:
                lines.append(line)
            depth += 1
        elif found in ("}", ">"):
            depth -= 1
    return tuple(lines)


def entry_text(text: str, index: int) -> str:
    """`line N, config[i]`, to be shown to a person."""
    lines = entry_lines(text)
    return f"line {lines[index]}, config[{index}]" if index < len(lines) else f"config[{index}]"


def refused_entry(
    models: Sequence[ModelConfig], current: Mapping[str, ModelConfig], error: ServingError
) -> int | None:
    """The entry that `error` is about, if these models were refused with it; None if it is about no single one."""
    # Of all checks the earliest that fails speaks, so the first models up to some entry, and no fewer, are refused so.
    index = bisect_left(
        range(len(models)), True, key=lambda last: _refusal(models[: last + 1], current) == error.message
    )
    if index < len(models):
        return index
    labelled = (index for index, model in enumerate(models) if _is_about_labels(error, model))
    return next(labelled, None)


def with_place(error: ServingError, text: str, index: int | None, file: str = "") -> ServingError:
    """`error` with the place in its hint, before the next step; its message is upstream's and stays."""
    if index is None:
        return error
    place = ", ".join(filter(None, (file, entry_text(text, index))))
    hint = f"See {place}." if error.hint is None else f"See {place}. {error.hint}"
    return ServingError(error.code, error.message, hint)


def _refusal(models: Sequence[ModelConfig], current: Mapping[str, ModelConfig]) -> str | None:
    try:
        validate_models(models, current)
    except ServingError as error:
        return error.message
    return None


def _is_about_labels(error: ServingError, model: ModelConfig) -> bool:
    texts = (f" of model {model.name}, which", f"Model {model.name} has a version label")
    return bool(model.labels) and any(text in error.message for text in texts)
