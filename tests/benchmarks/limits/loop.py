"""Work without any server, in a loop: a model's callable, or simdjson's parser on a body.

    loop callable VERSION_FOLDER MODEL_JSON BATCH      BATCH 0: the size with the most rows per second
    loop simdjson BODY

Each line on standard input is a number of seconds; each answer a JSON line with rates and times.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.figures import percentile

_TRIED_S = 0.4
_SIZES = [2**power for power in range(11)]


def timed(work: Callable[[], Any], rows: int, seconds: float) -> dict[str, Any]:
    """Calls `work` for some seconds; `rows` is how many rows each call is worth."""
    latencies = []
    cpu_s = time.process_time()
    began = now = time.perf_counter()
    while now - began < seconds:
        since = now
        work()
        now = time.perf_counter()
        latencies.append((now - since) * 1000)
    ordered = sorted(latencies)
    return {
        "per_s": rows * len(latencies) / (now - began),
        "p50_ms": percentile(ordered, 50),
        "p99_ms": percentile(ordered, 99),
        "answers": len(latencies),
        "cpu_us": (time.process_time() - cpu_s) * 1e6 / (rows * len(latencies)),
        "rows": rows,
    }


def callable_work(version: str, model: str, batch: int) -> tuple[Callable[[], Any], int]:
    """The model's callable, as our worker has it, on a batch of its row; and how many rows that is."""
    from jupyter_tfserve.worker.frame import Call
    from jupyter_tfserve.worker.saved_model import LoadOptions, load_saved_model

    loaded = load_saved_model(Path(version), LoadOptions(("serve",)))
    row = json.loads(Path(model).read_text())["row"]
    if isinstance(row, dict):
        one = np.array([base64.b64decode(row["b64"])], object)
    else:
        one = np.array([row.encode()], object) if isinstance(row, str) else np.array([row], np.float32)

    def work_of(rows: int) -> Callable[[], Any]:
        call = Call("serving_default", {"x": np.repeat(one, rows, axis=0)})
        loaded.run(call)
        return lambda: loaded.run(call)

    if batch:
        return work_of(batch), batch
    rates = {rows: timed(work_of(rows), rows, _TRIED_S)["per_s"] for rows in _SIZES}
    best = max(rates, key=lambda rows: rates[rows])
    return work_of(best), best


def simdjson_work(body: str) -> tuple[Callable[[], Any], int]:
    """The parser that we use, on the whole body, and nothing else."""
    import simdjson

    parser, content = simdjson.Parser(), Path(body).read_bytes()
    return lambda: parser.parse(content), 1


def main(kind: str, *arguments: str) -> None:
    """Works as often as it is told to."""
    if kind == "callable":
        work, rows = callable_work(arguments[0], arguments[1], int(arguments[2]))
    else:
        work, rows = simdjson_work(*arguments)
    print(json.dumps({"rows": rows}), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(work, rows, float(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
