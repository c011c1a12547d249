"""Classify, Regress and MultiInference on top of prediction; REST and gRPC only translate.

The way of a request is prediction's own: one version checks it, runs it and is read. What a signature must
look like and what its outputs mean is the codec's (`classification`, `regression`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.codec.classification import (
    CLASSIFY_METHOD,
    INPUTS,
    Classifications,
    classification_outputs,
    read_classifications,
)
from jupyter_tfserve.codec.examples import ExampleInput
from jupyter_tfserve.codec.prediction_log import Exchange, LogKind, SignatureRun
from jupyter_tfserve.codec.regression import REGRESS_METHOD, Regressions, read_regressions, regression_outputs
from jupyter_tfserve.dataplane.predict import Bind, Prediction, RequestLog, SignatureNotFound
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature, Tensors

ResultT_co = TypeVar("ResultT_co", covariant=True)
Result: TypeAlias = "Classifications | Regressions"


class Predictor(Protocol):
    """What inference needs of `dataplane.predict.DataPlane`."""

    request_log: RequestLog | None

    async def predict(
        self,
        spec: ModelSpec,
        bind: Bind,
        timeout_s: float | None,
        *,
        kind: LogKind = LogKind.PREDICT,
        watch: Stopwatch | None = None,
    ) -> Prediction:
        """The outputs of one run, and the version that gave them; it is logged as `kind`."""

    def held(self, spec: ModelSpec, timeout_s: float | None) -> AbstractAsyncContextManager[Any]:
        """A `ServableHandle` for several runs on one version."""


@dataclass(frozen=True, slots=True)
class InferenceOptions:
    """`check_method_names` is upstream's `--enable_signature_method_name_check`."""

    limits: LimitOptions
    check_method_names: bool = False


@dataclass(frozen=True, slots=True)
class InferenceTask:
    """One task of a MultiInference: `method_name` says how its signature's outputs are read."""

    spec: ModelSpec
    method_name: str


@dataclass(frozen=True, slots=True)
class Inference(Generic[ResultT_co]):
    """A result, in the order of the request's examples, the version that gave it, and how long that took."""

    name: str
    version: int
    signature_name: str
    result: ResultT_co
    run_s: float = 0
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True)
class _Method(Generic[ResultT_co]):
    """How a signature is checked (its outputs come back), how they are read for so many examples, and logged."""

    kind: LogKind
    outputs: Callable[[Signature, bool], tuple[str, ...]]
    read: Callable[[Tensors, int], ResultT_co]


_CLASSIFY: Final = _Method(LogKind.CLASSIFY, classification_outputs, read_classifications)
_REGRESS: Final = _Method(LogKind.REGRESS, regression_outputs, read_regressions)
_METHODS: Final[Mapping[str, _Method[Result]]] = {CLASSIFY_METHOD: _CLASSIFY, REGRESS_METHOD: _REGRESS}


async def classify(
    predictor: Predictor,
    spec: ModelSpec,
    example_input: ExampleInput,
    options: InferenceOptions,
    timeout_s: float | None,
) -> Inference[Classifications]:
    """The classes of every example; INVALID_ARGUMENT in `classifier.cc`'s words, or prediction's errors."""
    return await _infer(_CLASSIFY, predictor, spec, example_input, options, timeout_s)


async def regress(
    predictor: Predictor,
    spec: ModelSpec,
    example_input: ExampleInput,
    options: InferenceOptions,
    timeout_s: float | None,
) -> Inference[Regressions]:
    """A value for every example; INVALID_ARGUMENT in `regressor.cc`'s words, or prediction's errors."""
    return await _infer(_REGRESS, predictor, spec, example_input, options, timeout_s)


async def multi_inference(
    predictor: Predictor,
    tasks: Sequence[InferenceTask],
    example_input: ExampleInput,
    options: InferenceOptions,
    timeout_s: float | None,
) -> list[Inference[Result]]:
    """Every task's result on the same examples, in the tasks' order.

    The first task alone chooses the version, and all run on it, side by side; if one fails, all do.
    """
    chosen = tasks[0].spec if tasks else ModelSpec("")
    async with predictor.held(chosen, timeout_s) as handle:
        with handle.loader.traffic.timed():
            plan = _plan(tasks, handle.loader.signatures, options)
            inputs = {INPUTS: example_input.tensor(options.limits)}
            answers = await _all(
                [handle.loader.run(key, inputs, outputs, timeout_s) for key, outputs in plan.items()]
            )
        version = handle.id.version
    log = predictor.request_log
    if log is not None and (write := log.sampled(chosen.name)) is not None:
        runs = tuple(
            SignatureRun(key, answer, task.method_name)
            for task, key, answer in zip(tasks, plan, answers, strict=True)
        )
        write(Exchange(LogKind.MULTI_INFERENCE, chosen, version, inputs, runs))
    count = len(example_input.examples)
    return [
        Inference(chosen.name, version, key, _METHODS[task.method_name].read(answer, count))
        for task, key, answer in zip(tasks, plan, answers, strict=True)
    ]


async def _infer(
    method: _Method[ResultT_co],
    predictor: Predictor,
    spec: ModelSpec,
    example_input: ExampleInput,
    options: InferenceOptions,
    timeout_s: float | None,
) -> Inference[ResultT_co]:
    def bind(signature: Signature, _key: str) -> tuple[Tensors, tuple[str, ...]]:
        outputs = method.outputs(signature, options.check_method_names)
        # Strings whatever dtype the signature declares: some models of upstream's own declare float.
        return {INPUTS: example_input.tensor(options.limits)}, outputs

    try:
        answer = await predictor.predict(spec, bind, timeout_s, kind=method.kind)
    except SignatureNotFound as error:
        raise invalid_argument(f"No signature was found with the name: {error.key}", error.hint) from None
    result = method.read(answer.outputs, len(example_input.examples))
    return Inference(answer.name, answer.version, answer.signature_name, result, answer.run_s, answer.traffic)


def _plan(
    tasks: Sequence[InferenceTask], signatures: Mapping[str, Signature], options: InferenceOptions
) -> dict[str, tuple[str, ...]]:
    """The outputs to run by signature, in the tasks' order; checked in `multi_inference.cc`'s order."""
    plan: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        if not task.spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.spec.name != tasks[0].spec.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        key = task.spec.signature_name or DEFAULT_SIGNATURE
        if key in plan:
            raise invalid_argument(f"Duplicate evaluation of signature: {key}")
        if key not in signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {key}")
        method = _METHODS.get(task.method_name)
        if method is None:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        plan[key] = method.outputs(signatures[key], options.check_method_names)
    return plan


async def _all(runs: Sequence[Coroutine[Any, Any, Tensors]]) -> list[Tensors]:
    """The answers of all runs; if one fails, or the caller goes, none of them goes on."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        unfinished = [task for task in tasks if task.cancel()]
        if unfinished:
            await asyncio.wait(unfinished)
