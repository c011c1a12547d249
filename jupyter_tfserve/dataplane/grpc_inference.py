"""Classify, Regress and MultiInference of the PredictionService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from jupyter_tfserve.codec.classification import Classifications, put_classifications
from jupyter_tfserve.codec.examples import ExampleRequest, MultiExampleRequest, example_input
from jupyter_tfserve.codec.protos import (
    ClassificationRequest,
    ClassificationResponse,
    MultiInferenceRequest,
    MultiInferenceResponse,
    RegressionRequest,
    RegressionResponse,
)
from jupyter_tfserve.codec.regression import Regressions, put_regressions
from jupyter_tfserve.dataplane.grpc_edge import Handler, named_spec, parse_message, serialize, to_model_spec
from jupyter_tfserve.dataplane.inference import (
    Inference,
    InferenceOptions,
    InferenceTask,
    Predictor,
    classify,
    multi_inference,
    regress,
)
from jupyter_tfserve.dataplane.metrics import Metrics
from jupyter_tfserve.options import LimitOptions


@dataclass(frozen=True, slots=True)
class _Method:
    """A method that gives one result: its messages, how it is computed, and how that becomes a message."""

    name: str
    request_type: Any
    response_type: Any
    infer: Callable[..., Awaitable[Inference[Any]]]
    put: Callable[[Any, Any], None]


_CLASSIFY: Final = _Method(
    "Classify", ClassificationRequest, ClassificationResponse, classify, put_classifications
)
_REGRESS: Final = _Method("Regress", RegressionRequest, RegressionResponse, regress, put_regressions)


class ExampleMethods:
    """The PredictionService's methods that take `tf.Example`s."""

    def __init__(
        self, predictor: Predictor, limits: LimitOptions, check_method_names: bool, metrics: Metrics
    ) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._options = InferenceOptions(limits, check_method_names)

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by method."""
        return {
            _CLASSIFY.name: partial(self._one_result, _CLASSIFY),
            _REGRESS.name: partial(self._one_result, _REGRESS),
            "MultiInference": self._multi_inference,
        }

    async def _one_result(self, method: _Method, body: bytes, context: Any) -> bytes:
        request = _parse(ExampleRequest, body, method.request_type)
        with self._metrics.grpc.timed(request.model_spec.name, method.name) as timer:
            answer = await method.infer(
                self._predictor,
                named_spec(request),
                example_input(request.input),
                self._options,
                context.time_remaining(),
            )
            timer.run_s, timer.traffic = answer.run_s, answer.traffic
        response = method.response_type()
        _put_model_spec(answer, response.model_spec)
        method.put(answer.result, response.result)
        return serialize(response)

    async def _multi_inference(self, body: bytes, context: Any) -> bytes:
        request = _parse(MultiExampleRequest, body, MultiInferenceRequest)
        # A task without a ModelSpec is one with an empty name: this method has no "Missing ModelSpec".
        tasks = [InferenceTask(to_model_spec(task.model_spec), task.method_name) for task in request.tasks]
        examples = example_input(request.input)
        answers = await multi_inference(
            self._predictor, tasks, examples, self._options, context.time_remaining()
        )
        if answers:
            self._metrics.inferred_examples(answers[0].name, len(examples.examples))
        response = MultiInferenceResponse()
        for answer in answers:
            result = response.results.add()
            _put_model_spec(answer, result.model_spec)
            _put_result(answer.result, result)
        return serialize(response)


def _parse(message_type: Any, body: bytes, documented_type: Any) -> Any:
    return parse_message(message_type, body, documented_type.DESCRIPTOR.full_name)


def _put_model_spec(answer: Inference[Any], model_spec: Any) -> None:
    model_spec.name = answer.name
    model_spec.version.value = answer.version
    model_spec.signature_name = answer.signature_name


def _put_result(result: Classifications | Regressions, message: Any) -> None:
    if isinstance(result, Classifications):
        message.classification_result.SetInParent()
        put_classifications(result, message.classification_result)
    else:
        message.regression_result.SetInParent()
        put_regressions(result, message.regression_result)
