"""Which requests are logged, and that logging never costs a request more than the asking."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.codec.prediction_log import Exchange, LogKind, SignatureRun
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.tfrecord import read_records
from jupyter_tfserve.engine import request_log
from jupyter_tfserve.engine.request_log import RequestLog
from jupyter_tfserve.errors import Code
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.request_logging import RequestLogging
from jupyter_tfserve.types import ModelSpec


class Counts:
    """What the metrics are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Code]] = []

    def __call__(self, model: str, code: Code) -> None:
        self.told.append((model, code))


@pytest.fixture
def counts() -> Counts:
    return Counts()


def logged_model(folder: Path, name: str = "m", prefix: str = "log", rate: float = 1) -> ModelConfig:
    return ModelConfig(name, "/m", logging=RequestLogging("tfrecord", str(folder / prefix), rate))


def exchange(value: float, model: str = "m") -> Exchange:
    batch = np.float32([0, value, 0])
    run = SignatureRun("serving_default", {"y": batch[1:2]})
    return Exchange(LogKind.PREDICT, ModelSpec(model), 1, {"x": np.float32([value])}, (run,))


def values(path: Path) -> list[float]:
    with path.open("rb") as stream:
        logs = [PredictionLog.FromString(record) for record in read_records(stream)]
    return [log.predict_log.response.outputs["y"].float_val[0] for log in logs]


def offer(log: RequestLog, value: float, model: str = "m") -> None:
    write = log.sampled(model)
    assert write is not None
    write(exchange(value, model))


async def test_offered_requests_are_in_the_file_when_the_log_is_closed(tmp_path, counts) -> None:
    log = RequestLog(["serve", "gpu"], counts)
    assert log.configure([logged_model(tmp_path), ModelConfig("other", "/o")])
    for value in (1, 2, 3):
        offer(log, value)
    assert log.sampled("other") is None
    await log.close()
    assert values(tmp_path / "log.tfrecord") == [1, 2, 3]
    with (tmp_path / "log.tfrecord").open("rb") as stream:
        metadata = PredictionLog.FromString(next(read_records(stream))).log_metadata
    assert list(metadata.saved_model_tags) == ["serve", "gpu"]
    assert metadata.sampling_config.sampling_rate == 1
    assert metadata.timestamp_secs > 0
    assert log.sampled("m") is None


async def test_models_with_one_prefix_share_its_file(tmp_path, counts) -> None:
    log = RequestLog([], counts)
    log.configure([logged_model(tmp_path, "a"), logged_model(tmp_path, "b")])
    offer(log, 1, "a")
    offer(log, 2, "b")
    await log.close()
    assert values(tmp_path / "log.tfrecord") == [1, 2]


async def test_reconfiguring_moves_the_log_and_ends_it(tmp_path, counts) -> None:
    log = RequestLog([], counts)
    log.configure([logged_model(tmp_path)])
    offer(log, 1)
    log.configure([logged_model(tmp_path, prefix="elsewhere")])
    offer(log, 2)
    log.configure([logged_model(tmp_path)])
    offer(log, 3)
    assert not log.configure([ModelConfig("m", "/m")])
    assert log.sampled("m") is None
    await log.close()
    assert values(tmp_path / "log.tfrecord") == [1, 3]
    assert values(tmp_path / "elsewhere.tfrecord") == [2]


@pytest.mark.parametrize(("rate", "least", "most"), [(0, 0, 0), (0.5, 350, 650), (1, 1000, 1000)])
async def test_share_of_requests_is_the_sampling_rate(tmp_path, counts, rate, least, most) -> None:
    log = RequestLog([], counts)
    log.configure([logged_model(tmp_path, rate=rate)])
    picked = sum(log.sampled("m") is not None for _ in range(1000))
    await log.close()
    assert least <= picked <= most


async def test_slow_disk_bounds_what_waits_and_tells_once(tmp_path, counts, caplog, monkeypatch) -> None:
    monkeypatch.setattr(request_log, "MAX_PENDING", 3)
    gate = threading.Event()

    class SlowFile:
        def __init__(self, prefix: str) -> None:
            self.appended: list[bytes] = []

        def append(self, text: bytes) -> None:
            gate.wait(30)
            self.appended.append(text)

        def close(self) -> None:
            assert len(self.appended) == 3

    log = RequestLog([], counts, SlowFile)
    log.configure([logged_model(tmp_path)])
    with caplog.at_level(logging.WARNING):
        for value in range(10):
            offer(log, value)
    assert counts.told == [("m", Code.RESOURCE_EXHAUSTED)] * 7
    assert len(caplog.records) == 1
    gate.set()
    await log.close()


async def test_bytes_that_wait_are_bounded_too(tmp_path, counts, monkeypatch) -> None:
    monkeypatch.setattr(request_log, "MAX_PENDING_BYTES", 100)
    log = RequestLog([], counts)
    log.configure([logged_model(tmp_path)])
    write = log.sampled("m")
    assert write is not None
    write(replace(exchange(1), inputs={"x": np.zeros(1000)}))
    assert counts.told == [("m", Code.RESOURCE_EXHAUSTED)]
    await log.close()


async def test_full_disk_fails_no_request(tmp_path, counts, caplog, eventually_async) -> None:
    class FullFile:
        def __init__(self, prefix: str) -> None:
            pass

        def append(self, text: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    log = RequestLog([], counts, FullFile)
    log.configure([logged_model(tmp_path)])
    with caplog.at_level(logging.WARNING):
        offer(log, 1)
        offer(log, 2)
        await eventually_async(lambda: len(counts.told) == 2)
    await log.close()
    assert counts.told == [("m", Code.UNAVAILABLE)] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "Requests of m are not logged: No space left on device"
    ]


async def test_written_outputs_are_not_the_batchs_own(tmp_path, counts) -> None:
    """A batch's memory goes back as soon as its answers are out, and nobody can change what is to be logged."""
    kept: list[Any] = []

    class KeepingFile:
        def __init__(self, prefix: str) -> None:
            pass

        def append(self, text: bytes) -> None:
            kept.append(PredictionLog.FromString(text))

        def close(self) -> None:
            pass

    log = RequestLog([], counts, KeepingFile)
    log.configure([logged_model(tmp_path)])
    write = log.sampled("m")
    assert write is not None
    request = exchange(5)
    write(request)
    request.runs[0].outputs["y"][0] = 99
    await log.close()
    assert kept[0].predict_log.response.outputs["y"].float_val[0] == 5


@pytest.fixture
def eventually_async():
    async def wait(condition: Any, deadline_s: float = 10) -> None:
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.005)

    return wait
