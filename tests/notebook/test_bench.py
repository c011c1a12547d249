"""Benchmarks of a real engine: all phases, in time, and nothing left of an interrupted one."""

from __future__ import annotations

import json
import time

import numpy as np
import psutil
import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook import bench as bench_module
from jupyter_tfserve.notebook.bench import CLOSED_CONNECTIONS, OPEN_SHARES, Bench, Load, run_bench, time_calls
from jupyter_tfserve.notebook.progress import silent


def load(rate=None, latencies=(1.0, 2.0, 3.0), answers=None):
    count = len(latencies) if answers is None else answers
    return Load(8, rate, 2.0, count, 0, np.array(latencies))


def test_all_phases_are_measured_in_time_when_a_model_is_loaded(server):
    began = time.monotonic()
    found = server.bench("version/1", np.zeros((4, 1), np.float32), seconds=4)
    assert time.monotonic() - began < 30
    assert [item.connections for item in found.closed] == list(CLOSED_CONNECTIONS)
    assert len(found.opened) == len(OPEN_SHARES)
    assert all(item.answers > 0 and item.errors == 0 for item in (*found.closed, *found.opened))
    assert found.rows == 4
    assert found.best_throughput > 10
    rates = [item.rate for item in found.opened]
    assert rates == pytest.approx([share * found.best_throughput for share in OPEN_SHARES])


def test_real_row_is_sent_when_none_is_given(server):
    assert server.bench("keras/1", seconds=1).closed[0].errors == 0


def test_refusal_is_explained_when_the_rows_do_not_fit(server):
    with pytest.raises(ServingError) as caught:
        server.bench("keras/1", np.zeros((2, 5), np.float32), seconds=1)
    assert "wanted [?,4] float32" in caught.value.hint


def test_servers_words_are_raised_when_every_request_fails(server):
    with pytest.raises(ServingError) as caught:
        run_bench(f"{server.rest_url}/v1/models/nobody:predict", b'{"instances": [1]}', 2, silent)
    assert "HTTP 404" in caught.value.message
    assert generators() == []


def generators():
    """The load generators that run below this process."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "jupyter_tfserve.notebook.bench_load" in child.cmdline()]


def test_no_process_is_left_when_interrupted(server):
    def interrupt(text, fraction):
        assert generators()
        raise KeyboardInterrupt

    body = json.dumps({"instances": [[1.0]]}).encode()
    with pytest.raises(KeyboardInterrupt):
        run_bench(f"{server.rest_url}/v1/models/version/versions/1:predict", body, 2, interrupt)
    assert generators() == []


def test_own_words_of_the_generator_are_raised_when_it_dies(monkeypatch, server):
    monkeypatch.setattr(bench_module.sys, "executable", "/bin/false")
    with pytest.raises(ServingError) as caught:
        run_bench(f"{server.rest_url}/v1/models/version:predict", b"{}", 2, silent)
    assert "The load generator ended" in caught.value.message


def test_calls_are_timed_without_the_first_when_it_is_slow():
    calls = []

    def call():
        calls.append(time.perf_counter())
        if len(calls) == 1:
            time.sleep(0.2)

    found = time_calls(call, 0.1)
    assert found.answers == len(calls) - 1 > 10
    assert found.percentile(99) < 100


@pytest.mark.parametrize("direct", [None, load(latencies=(0.1, 0.2))])
def test_everything_is_shown_when_displayed(direct):
    bench = Bench("<m>/1", 4, (load(), load(answers=9)), (load(10.0), load(20.0)), direct)
    shown = bench._repr_mimebundle_()
    assert shown["text/plain"].startswith("<m>/1: up to 4 answers a second, 4 rows a request\n")
    assert "10 a second" in shown["text/plain"]
    assert ("TensorFlow in this kernel" in shown["text/plain"]) == (direct is not None)
    assert "<m>" not in shown["text/html"]
    assert "<img" in shown["text/html"]


def test_missing_answers_are_shown_when_a_load_had_none():
    bench = Bench("m", 1, (load(),), (load(5.0, ()),))
    assert "nan" in str(bench)
    assert "<img" in bench._repr_mimebundle_()["text/html"]
