"""The text that Prometheus reads, as TensorFlow Serving's prometheus_exporter.cc writes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from jupyter_tfserve.dataplane.metrics import Metric
from jupyter_tfserve.dataplane.metrics_cells import Histogram, Labels

CONTENT_TYPE: Final = "text/plain"
_OUTSIDE_NAME: Final = re.compile("[^a-zA-Z0-9_]")
_OUTSIDE_LABEL: Final = re.compile("[^a-zA-Z0-9]")


def metrics_page(metrics: Iterable[Metric]) -> bytes:
    """The page, in the order of the metrics; every metric has its TYPE line, used or not."""
    lines = [line for metric in metrics for line in _lines(metric)]
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _lines(metric: Metric) -> Iterator[str]:
    name = _name(metric.name)
    if metric.help:
        yield f"# HELP {name} {metric.help}"
    yield f"# TYPE {name} {metric.kind.value}"
    label_names = [_OUTSIDE_LABEL.sub("_", label) for label in metric.label_names]
    for labels in sorted(metric.cells):
        sample = metric.cells[labels]
        pairs = _pairs(label_names, labels)
        if isinstance(sample, Histogram):
            yield from _histogram_lines(name, pairs, sample)
        else:
            yield f"{name}{{{','.join(pairs)}}} {_number(sample)}"


def _histogram_lines(name: str, pairs: Sequence[str], histogram: Histogram) -> Iterator[str]:
    limits = [f"{limit:g}" for limit in histogram.limits] + ["+Inf"]
    for limit, count in zip(limits, accumulate(histogram.counts), strict=True):
        all_pairs = [*pairs, f'le="{limit}"']
        yield f"{name}_bucket{{{','.join(all_pairs)}}} {count}"
    labels = ",".join(pairs)
    yield f"{name}_sum{{{labels}}} {histogram.sum:g}"
    yield f"{name}_count{{{labels}}} {sum(histogram.counts)}"


def _number(sample: float) -> str:
    return str(sample) if isinstance(sample, int) else f"{sample:g}"


def _name(name: str) -> str:
    """Prometheus allows a colon where TensorFlow has a slash; a name must not begin with a digit."""
    clean = _OUTSIDE_NAME.sub(":", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


def _pairs(names: Sequence[str], values: Labels) -> list[str]:
    return [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]


def _escaped(value: str) -> str:
    # A line end, which upstream lets through, would let a sender write lines of the page.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
