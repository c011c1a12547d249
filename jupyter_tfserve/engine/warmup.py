"""Replays a model's recorded requests on a version that is loaded but not yet available.

The first run of a graph is slow; `assets.extra/tf_serving_warmup_requests` beside the model, a TFRecord file of
`PredictionLog`s, lets the version pay for it before a caller does. Follows saved_model_warmup.cc; each record
goes the way of a real request, from its check to its run. All lanes of a worker share one session, so one run
warms every one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.examples import ExampleRequest, MultiExampleRequest, example_input
from jupyter_tfserve.codec.prediction_log import WARMUP_FILE, LogKind
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.signatures import check_predict_method
from jupyter_tfserve.codec.tfrecord import read_records
from jupyter_tfserve.dataplane.grpc_edge import to_model_spec
from jupyter_tfserve.dataplane.grpc_predict import bind_predict_request
from jupyter_tfserve.dataplane.inference import (
    InferenceOptions,
    InferenceTask,
    classify,
    multi_inference,
    regress,
)
from jupyter_tfserve.dataplane.predict import Bind, Prediction, RequestLog, SignatureNotFound
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensors

MAX_RECORDS: Final = 1000
_SHOWN_BYTES: Final = 256
"""Upstream repeats the whole record in its message; so much of it is enough to know it by."""


class WarmServable(Protocol):
    """A version, as its warm-up needs it."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by key."""

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """The outputs by alias."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How records are replayed: each `iterations` times, a run within `timeout_s`."""

    limits: LimitOptions
    iterations: int
    timeout_s: float
    check_method_names: bool = False


async def warm_up(version: Path, servable: WarmServable, replay: Replay) -> int:
    """Replays the version's records in order, one at a time; how many there were (0 without a file).

    The first that fails ends it with the request's own error. INVALID_ARGUMENT for a record that is no
    PredictionLog and for more than 1000 of them (after 1000 were run), DATA_LOSS for a file that is no TFRecord
    file, UNIMPLEMENTED for a kind of log that is not replayed.
    """
    path = version / WARMUP_FILE
    player = _Player(servable, replay)
    count = 0
    async with contextlib.aclosing(_in_thread(_read_logs(path))) as logs:
        async for log in logs:
            if count == MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
                )
            for _ in range(max(replay.iterations, 1)):
                await player.play(log)
            count += 1
    return count


def _read_logs(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as stream:
            for record in read_records(stream):
                yield _parse(record, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ServingError(Code.FAILED_PRECONDITION, f"Can't read {path}: {error.strerror}") from None
    except ServingError as error:
        if error.code is Code.DATA_LOSS:
            message = f"{error.message}. Please verify your warmup data is in TFRecord format."
            raise ServingError(Code.DATA_LOSS, message) from None
        raise


def _parse(record: bytes, path: Path) -> Any:
    try:
        return PredictionLog.FromString(record)
    except DecodeError:
        shown = record[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
        raise invalid_argument(f"Failed to parse warmup record: {shown} from {path}") from None


async def _in_thread(logs: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """The same, read in threads: a record may have hundreds of megabytes."""
    while (log := await asyncio.to_thread(next, logs, None)) is not None:
        yield log


class _Player:
    """Sends logged requests to one version, whatever model and version they name."""

    def __init__(self, servable: WarmServable, replay: Replay) -> None:
        self._replay = replay
        self._options = InferenceOptions(replay.limits, replay.check_method_names)
        self._predictor = _OneVersion(servable)

    async def play(self, log: Any) -> None:
        """Runs the log's request; its response is thrown away. A log without one is nothing to do."""
        match log.WhichOneof("log_type"):
            case None:
                return
            case "predict_log":
                await self._predict(log.predict_log.request)
            case "classify_log":
                await self._infer(classify, log.classify_log.request)
            case "regress_log":
                await self._infer(regress, log.regress_log.request)
            case "multi_inference_log":
                await self._multi_inference(log.multi_inference_log.request)
            case kind:
                number = PredictionLog.DESCRIPTOR.fields_by_name[kind].number
                raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")

    async def _predict(self, request: Any) -> None:
        def bind(signature: Signature, _key: str) -> tuple[Tensors, tuple[str, ...]]:
            if self._replay.check_method_names:
                check_predict_method(signature)
            return bind_predict_request(request, signature, self._replay.limits)

        await self._predictor.predict(to_model_spec(request.model_spec), bind, self._replay.timeout_s)

    async def _infer(self, method: Any, message: Any) -> None:
        # Examples go to the model as bytes, so the request is read again with a message that leaves them so.
        request = ExampleRequest.FromString(message.SerializeToString())
        spec, examples = to_model_spec(request.model_spec), example_input(request.input)
        await method(self._predictor, spec, examples, self._options, self._replay.timeout_s)

    async def _multi_inference(self, message: Any) -> None:
        request = MultiExampleRequest.FromString(message.SerializeToString())
        tasks = [InferenceTask(to_model_spec(task.model_spec), task.method_name) for task in request.tasks]
        examples = example_input(request.input)
        await multi_inference(self._predictor, tasks, examples, self._options, self._replay.timeout_s)


class _OneVersion:
    """The data plane as the inference functions need it, with a single version behind it."""

    def __init__(self, servable: WarmServable) -> None:
        self._servable = servable
        self.request_log: RequestLog | None = None

    async def predict(
        self,
        spec: ModelSpec,
        bind: Bind,
        timeout_s: float | None,
        *,
        kind: LogKind = LogKind.PREDICT,
        watch: Stopwatch | None = None,
    ) -> Prediction:
        """See `DataPlane.predict`; inputs are always decoded in a thread."""
        key = spec.signature_name or DEFAULT_SIGNATURE
        signatures: Mapping[str, Signature] = self._servable.signatures
        if key not in signatures:
            raise SignatureNotFound(key, signatures)
        inputs, outputs = await asyncio.to_thread(bind, signatures[key], key)
        answer = await self._servable.run(key, inputs, outputs, timeout_s, watch)
        return Prediction(spec.name, 0, key, answer)

    def held(self, _spec: ModelSpec, _timeout_s: float | None) -> AbstractAsyncContextManager[Any]:
        """See `DataPlane.held`."""
        return contextlib.nullcontext(SimpleNamespace(loader=self._servable, id=SimpleNamespace(version=0)))
