"""An answer as an HTML table: a row per example, its input (numbers, text or a picture) beside each output.

Rows of probabilities are shown as bars of the likeliest classes. Everything a model or a request holds is text
here, never markup. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import numpy as np

from jupyter_tfserve.notebook.pictures import picture_url, rows_of
from jupyter_tfserve.notebook.reply import Reply
from jupyter_tfserve.notebook.time_split import split_html
from jupyter_tfserve.types import ModelSpec, Tensor

MAX_ROWS: Final = 10
MAX_COLUMNS: Final = 12
"""Inputs and outputs that get a column each."""
TOP_K: Final = 3
MAX_NUMBERS: Final = 6
MAX_TEXT: Final = 80
SUM_TOLERANCE: Final = 1e-3
_CELL: Final = "text-align:left;vertical-align:middle"
_BAR: Final = "display:inline-block;height:0.7em;background:#2f6fb0;margin-right:6px"


def answer_table(reply: Reply) -> str:
    """The reply as a table, and a line that says who answered and how fast."""
    outputs = reply.value if isinstance(reply.value, Mapping) else {_output_name(reply): reply.value}
    count = _row_count(outputs)
    inputs = {name: column for name, column in rows_of(reply.document).items() if len(column) == count}
    columns = [*list(inputs.items())[:MAX_COLUMNS], *list(outputs.items())[:MAX_COLUMNS]]
    heads = "".join(f"<th style='{_CELL}'>{escape(str(name))}</th>" for name, _ in columns)
    rows = "".join(_row(index, inputs, outputs) for index in range(min(count, MAX_ROWS)))
    if count == 0:
        rows = f"<tr><td></td>{''.join(_cell(show_value(column)) for _, column in columns)}</tr>"
    return (
        f"<div><table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p style='opacity:0.75'>{escape(_caption(reply, count))}</p>{split_html(reply.stages)}</div>"
    )


def is_probabilities(output: Tensor) -> bool:
    """Whether every row is a distribution over classes: at least two, not negative, with a sum of 1."""
    if output.ndim != 2 or output.shape[1] < 2 or output.dtype.kind != "f" or not output.size:
        return False
    sums = output.sum(axis=1, dtype=np.float64)
    return bool((output >= 0).all() and (np.abs(sums - 1) < SUM_TOLERANCE).all())


def top_classes(probabilities: Tensor) -> list[tuple[int, float]]:
    """The likeliest classes of one row with their probabilities, the likeliest first."""
    order = np.argsort(-probabilities, kind="stable")[:TOP_K]
    return [(int(index), float(probabilities[index])) for index in order]


def show_value(value: object) -> str:
    """A value as short text: a few numbers, or the shape of many."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    if isinstance(value, Mapping):
        return show_value(str(value))
    try:
        array = np.asarray(value)
    except ValueError:
        return show_value(str(value))
    if array.ndim == 0:
        item = array.item()
        return show_value(item) if isinstance(item, bytes | str) else _number(item)
    if array.size <= MAX_NUMBERS and array.ndim == 1:
        return ", ".join(show_value(item) for item in array)
    return f"{array.dtype} [{', '.join(str(size) for size in array.shape)}]"


def _row(index: int, inputs: Mapping[str, Any], outputs: Mapping[str, Tensor]) -> str:
    cells = [_input_cell(name, column[index], index) for name, column in list(inputs.items())[:MAX_COLUMNS]]
    for _, output in list(outputs.items())[:MAX_COLUMNS]:
        is_bars = is_probabilities(output)
        cells.append(_cell_of(_bars(output[index])) if is_bars else _cell(show_value(output[index])))
    return f"<tr><td style='{_CELL};opacity:0.6'>{index}</td>{''.join(cells)}</tr>"


def _input_cell(name: str, value: object, index: int) -> str:
    url = picture_url(value)
    if url is None:
        return _cell(show_value(value))
    style = "width:64px;height:auto;image-rendering:pixelated"
    text = escape(f"{name} of row {index}", quote=True)
    return _cell_of(f"<img src='{url}' alt='{text}' style='{style}'>")


def _bars(row: Tensor) -> str:
    return "".join(
        f"<div style='white-space:nowrap'><span style='{_BAR};width:{round(100 * share)}px'></span>"
        f"{number}: {share:.1%}</div>"
        for number, share in top_classes(row)
    )


def _cell(text: str) -> str:
    return _cell_of(escape(text))


def _cell_of(content: str) -> str:
    return f"<td style='{_CELL}'>{content}</td>"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _output_name(reply: Reply) -> str:
    names = [] if reply.signature is None else list(reply.signature.outputs)
    return names[0] if len(names) == 1 else "output"


def _row_count(outputs: Mapping[str, Tensor]) -> int:
    """The number of rows that all outputs have; 0 when they have no rows in common."""
    counts = {len(output) if output.ndim else 0 for output in outputs.values()}
    return counts.pop() if len(counts) == 1 else 0


def _caption(reply: Reply, count: int) -> str:
    shown = f", the first {MAX_ROWS} shown" if count > MAX_ROWS else ""
    rows = f"{count} row{'' if count == 1 else 's'}{shown}; " if count else ""
    note = f"; {reply.note}" if reply.note else ""
    return f"{describe_target(reply.spec)}: {rows}answered in {1000 * reply.elapsed_s:.1f} ms{note}"


def describe_target(spec: ModelSpec) -> str:
    """`m`, `m@label` or `m/2`, as a person writes it."""
    if spec.version is not None:
        return f"{spec.name}/{spec.version}"
    return spec.name if spec.label is None else f"{spec.name}@{spec.label}"
