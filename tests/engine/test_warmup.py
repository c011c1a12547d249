"""Replaying recorded requests on a version, with a servable that notes what it is asked to run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.classification import CLASSIFY_METHOD
from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import Example, PredictionLog
from jupyter_tfserve.codec.regression import REGRESS_METHOD
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.codec.tfrecord import encode_record
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.engine.warmup import Replay, warm_up
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import Signature, Tensors, TensorSpec

TEXTS = {"inputs": TensorSpec("text:0", "string", (-1,))}


class NotingServable:
    """Three signatures, all answering one row per row; `runs` is what was run."""

    signature_defs = b""
    signatures: ClassVar[dict[str, Signature]] = {
        "serving_default": Signature(
            "", {"x": TensorSpec("x:0", "float", (-1,))}, {"y": TensorSpec("y:0", "float", (-1,))}
        ),
        "classify": Signature(CLASSIFY_METHOD, TEXTS, {"scores": TensorSpec("s:0", "float", (-1, 1))}),
        "regress": Signature(REGRESS_METHOD, TEXTS, {"outputs": TensorSpec("o:0", "float", (-1, 1))}),
    }

    def __init__(self, error: ServingError | None = None) -> None:
        self.runs: list[tuple[str, list[Any]]] = []
        self.traffic = Traffic(0.0)
        self.timeouts: set[float | None] = set()
        self.error = error

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        (tensor,) = inputs.values()
        self.runs.append((key, tensor.tolist()))
        self.timeouts.add(timeout_s)
        if self.error is not None:
            raise self.error
        return {alias: np.zeros((len(tensor), 1), np.float32) for alias in outputs}


def predict_log(*values: float, key: str = "", name: str = "another model") -> Any:
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, key
    request.model_spec.version.value = 99
    encode_tensor(np.float32(values), request.inputs["x"])
    return log


def example() -> Any:
    message = Example()
    message.features.feature["x"].float_list.value.append(3)
    return message


def mixed_logs() -> list[Any]:
    classify, regress, multi = PredictionLog(), PredictionLog(), PredictionLog()
    for request, key in (
        (classify.classify_log.request, "classify"),
        (regress.regress_log.request, "regress"),
    ):
        request.model_spec.signature_name = key
        request.input.example_list.examples.append(example())
    request = multi.multi_inference_log.request
    for key, method in (("regress", REGRESS_METHOD), ("classify", CLASSIFY_METHOD)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "m", key
    request.input.example_list.examples.append(example())
    return [predict_log(1, 2), regress, classify, multi]


def write(version: Path, *records: bytes) -> Path:
    file = version / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"".join(map(encode_record, records)))
    return file


async def replayed(version: Path, servable: NotingServable, iterations: int = 0, **options: Any) -> int:
    return await warm_up(version, servable, Replay(LimitOptions(), iterations, 7.0, **options))


@pytest.mark.parametrize(("iterations", "times"), [(-1, 1), (0, 1), (1, 1), (2, 2)])
async def test_every_kind_of_record_is_run_in_order(tmp_path: Path, iterations: int, times: int) -> None:
    """Upstream's MixedWarmupData; a record is repeated before the next one is read."""
    write(tmp_path, *(log.SerializeToString() for log in mixed_logs()))
    servable = NotingServable()
    assert await replayed(tmp_path, servable, iterations) == 4
    text = [example().SerializeToString()]
    predict, regress, classify = ("serving_default", [1, 2]), ("regress", text), ("classify", text)
    assert (
        servable.runs
        == [predict] * times
        + [regress] * times
        + [classify] * times
        + [
            regress,
            classify,
        ]
        * times
    )
    assert servable.timeouts == {7.0}


async def test_nothing_is_run_without_a_file_or_with_an_empty_one(tmp_path: Path) -> None:
    servable = NotingServable()
    assert await replayed(tmp_path, servable) == 0
    write(tmp_path)
    assert await replayed(tmp_path, servable) == 0
    assert servable.runs == []


async def test_record_without_a_log_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, PredictionLog().SerializeToString(), predict_log(1).SerializeToString())
    servable = NotingServable()
    await replayed(tmp_path, servable)
    assert len(servable.runs) == 1


@pytest.mark.parametrize(("kind", "number"), [("session_run_log", 5), ("predict_streamed_log", 7)])
async def test_other_kinds_of_log_are_unimplemented(tmp_path: Path, kind: str, number: int) -> None:
    log = PredictionLog()
    getattr(log, kind).SetInParent()
    write(tmp_path, log.SerializeToString())
    error = await failure(tmp_path, NotingServable())
    assert (error.code, error.message) == (Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")


async def test_record_that_is_no_log_fails_after_those_before_it(tmp_path: Path) -> None:
    file = write(tmp_path, predict_log(1).SerializeToString(), b"\xff\xff nonsense")
    servable = NotingServable()
    error = await failure(tmp_path, servable)
    assert error.code is Code.INVALID_ARGUMENT
    assert error.message == f"Failed to parse warmup record: \\xff\\xff nonsense from {file}"
    assert len(servable.runs) == 1


async def test_record_in_the_message_is_cut_when_it_is_long(tmp_path: Path) -> None:
    write(tmp_path, b"\xff" + b"x" * 100_000)
    assert len((await failure(tmp_path, NotingServable())).message) < 2000


async def test_file_of_another_format_is_data_loss(tmp_path: Path) -> None:
    write(tmp_path).write_text("this is certainly no TFRecord file")
    error = await failure(tmp_path, NotingServable())
    assert (error.code, error.message) == (
        Code.DATA_LOSS,
        "corrupted record at 0 (Is this even a TFRecord file?). "
        "Please verify your warmup data is in TFRecord format.",
    )


async def test_the_thousandth_record_is_the_last_that_is_run(tmp_path: Path) -> None:
    record = predict_log(1).SerializeToString()
    file = write(tmp_path, *[record] * 1000)
    servable = NotingServable()
    assert await replayed(tmp_path, servable) == 1000
    file.write_bytes(file.read_bytes() + encode_record(record))
    error = await failure(tmp_path, servable)
    assert error.code is Code.INVALID_ARGUMENT
    assert error.message == f"Number of warmup records exceeds the maximum (1000) at {file}"
    assert len(servable.runs) == 2000


async def test_failing_request_ends_the_warm_up_with_its_own_error(tmp_path: Path) -> None:
    write(tmp_path, *[predict_log(1).SerializeToString()] * 2)
    servable = NotingServable(ServingError(Code.INTERNAL, "the model broke"))
    error = await failure(tmp_path, servable)
    assert (error.code, error.message) == (Code.INTERNAL, "the model broke")
    assert len(servable.runs) == 1


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (predict_log(1, key="nowhere"), 'Serving signature key "nowhere" not found.'),
        (PredictionLog.FromString(predict_log(1, key="regress").SerializeToString()), "Inputs"),
    ],
)
async def test_request_is_checked_as_a_real_one(tmp_path: Path, log: Any, message: str) -> None:
    write(tmp_path, log.SerializeToString())
    servable = NotingServable()
    with pytest.raises(ServingError, match=message):
        await replayed(tmp_path, servable)
    assert servable.runs == []


async def test_cancelled_warm_up_closes_its_file(tmp_path: Path) -> None:
    class HangingServable(NotingServable):
        async def run(self, *call: Any) -> Tensors:
            running.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    write(tmp_path, predict_log(1).SerializeToString())
    running = asyncio.Event()
    task = asyncio.ensure_future(replayed(tmp_path, HangingServable()))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def failure(version: Path, servable: NotingServable) -> ServingError:
    with pytest.raises(ServingError) as caught:
        await replayed(version, servable)
    return caught.value
