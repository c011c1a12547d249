"""Work without any server, in a loop: models' callables, or simdjson's parser on the body of a row.

    loop callable MODELS ROWS [best]      best: of the sizes up to ROWS the one with the most rows a second
    loop simdjson MODELS [numbers]        numbers: with an array of them at the end

It says "ready"; each line on standard input is `{"model", "seconds"}`, each answer a JSON line with rates and
times, with 0 seconds nothing but the size.
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

from jupyter_tfserve.worker.cpus import usable_cpus
from tests.benchmarks.calls import rest_predict
from tests.benchmarks.figures import percentile
from tests.benchmarks.models import read_model

_TRIED_S = 0.4


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


def callable_work(models: str, name: str, most: int, is_best: bool) -> tuple[Callable[[], Any], int]:
    """The model's callable, as our worker has it, on a batch of its row; and how many rows that is."""
    from jupyter_tfserve.worker.frame import Call
    from jupyter_tfserve.worker.saved_model import LoadOptions, load_saved_model

    model = read_model(Path(models), name)
    loaded = load_saved_model(model.path / "1", LoadOptions(("serve",), usable_cpus()))
    if isinstance(model.row, dict):
        one = np.array([base64.b64decode(model.row["b64"])], object)
    else:
        is_text = isinstance(model.row, str)
        one = np.array([model.row.encode()], object) if is_text else np.array([model.row], np.float32)

    def work_of(rows: int) -> Callable[[], Any]:
        call = Call("serving_default", {"x": np.repeat(one, rows, axis=0)})
        loaded.run(call)
        return lambda: loaded.run(call)

    if not is_best:
        return work_of(most), most
    sizes = [2**power for power in range(most.bit_length())]
    rates = {rows: timed(work_of(rows), rows, _TRIED_S)["per_s"] for rows in sizes}
    best = max(rates, key=lambda rows: rates[rows])
    return work_of(best), best


def simdjson_work(models: str, name: str, has_numbers: bool) -> tuple[Callable[[], Any], int]:
    """The parser that we use, on the whole body, and nothing else; or its numbers as numpy has them besides."""
    import simdjson

    parser = simdjson.Parser()
    content = rest_predict("", name, read_model(Path(models), name).row).body

    def numbers() -> Any:
        return np.frombuffer(parser.parse(content)["instances"].as_buffer(of_type="d"), np.float64)

    return (numbers if has_numbers else lambda: parser.parse(content)), 1


def main(kind: str, models: str, *arguments: str) -> None:
    """Works as often as it is told to; what a model needs is made when it is first asked for, and kept."""
    made: dict[str, tuple[Callable[[], Any], int]] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["model"]
        if name not in made:
            if kind == "callable":
                made[name] = callable_work(models, name, int(arguments[0]), "best" in arguments)
            else:
                made[name] = simdjson_work(models, name, "numbers" in arguments)
        work, rows = made[name]
        told = timed(work, rows, asked["seconds"]) if asked["seconds"] else {"rows": rows}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
