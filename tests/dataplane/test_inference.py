"""inference: Classify, Regress and MultiInference over a real DataPlane and serving map; a fake model."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.codec.examples import ExampleInput
from jupyter_tfserve.dataplane.inference import (
    InferenceOptions,
    InferenceTask,
    classify,
    multi_inference,
    regress,
)
from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.lifecycle.serving_map import ServedVersion, ServingMap
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import ModelSpec, ServableId, Signature, TensorSpec

OPTIONS = InferenceOptions(LimitOptions())
CHECKED = InferenceOptions(LimitOptions(), check_method_names=True)
CLASSIFY, REGRESS, PREDICT = (f"tensorflow/serving/{verb}" for verb in ("classify", "regress", "predict"))
EXAMPLES = ExampleInput([b"a", b"bb"])
DECLARED_FLOAT = TensorSpec("tf_example:0", "float", None)
OUT = TensorSpec("y:0", "float", None)


def signature(method: str, output: str) -> Signature:
    return Signature(method, {"inputs": DECLARED_FLOAT}, {output: OUT})


SIGNATURES = {
    "serving_default": signature(PREDICT, "outputs"),
    "classes": signature(CLASSIFY, "scores"),
    "length": signature(REGRESS, "outputs"),
    "predict": Signature(PREDICT, {"x": OUT}, {"y": OUT}),
}


class FakeServable:
    """Answers each example's length; records its calls; blocks or fails by signature as told."""

    signatures = SIGNATURES
    signature_defs = b""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.traffic = Traffic(0.0)
        self.failing: dict[str, ServingError] = {}
        self.blocking: set[str] = set()
        self.cancelled: list[str] = []
        self.blocked = asyncio.Event()
        self.outputs: np.ndarray | None = None

    async def run(self, key, inputs, outputs, timeout_s, watch=None):
        self.calls.append((key, inputs["inputs"].tolist(), outputs, timeout_s))
        if key in self.blocking:
            self.blocked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(key)
                raise
        if key in self.failing:
            if self.blocking:
                await self.blocked.wait()
            raise self.failing[key]
        if self.outputs is not None:
            return {outputs[0]: self.outputs}
        return {outputs[0]: np.array([[len(text)] for text in inputs["inputs"]], np.float32)}


class FakeCore:
    """The serving map that requests meet, or the one that they have to wait for."""

    def __init__(self, serving_map: ServingMap, first_load: ServingMap | None = None) -> None:
        self.serving_map = serving_map
        self.first_load = first_load
        self.manager = self

    def aspired_statuses(self, _name: str) -> list[object]:
        return []

    def first_load_pending(self, _name: str) -> bool:
        return self.first_load is not None

    def next_load_pending(self, _name: str) -> bool:
        return False

    async def wait_first_load(self, _name: str, _timeout_s: float | None) -> None:
        """Makes the map that of `first_load`, as if it had been loaded meanwhile."""
        self.serving_map, self.first_load = self.first_load, None


class Model:
    """Version 7 of model `m`."""

    def __init__(self) -> None:
        self.servable = FakeServable()
        self.served = ServedVersion(ServableId("m", 7), self.servable)
        self.data_plane = DataPlane(FakeCore(ServingMap().with_version(self.served)))

    async def multi(self, *tasks: InferenceTask, examples=EXAMPLES, options=OPTIONS):
        return await multi_inference(self.data_plane, tasks, examples, options, 5.0)


@pytest.fixture
def model() -> Model:
    return Model()


async def refusal(awaitable) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        await awaitable
    return caught.value.code, caught.value.message


def task(key: str, method: str, name: str = "m", version: int | None = None) -> InferenceTask:
    return InferenceTask(ModelSpec(name, version, signature_name=key), method)


async def test_classify_feeds_strings_and_names_the_version_when_the_signature_fits(model):
    answer = await classify(
        model.data_plane, ModelSpec("m", signature_name="classes"), EXAMPLES, OPTIONS, 3.0
    )
    assert (answer.name, answer.version, answer.signature_name) == ("m", 7, "classes")
    assert answer.result.labels is None
    assert answer.result.scores.tolist() == [[1.0], [2.0]]
    assert model.servable.calls == [("classes", [b"a", b"bb"], ("scores",), 3.0)]


async def test_regress_uses_the_default_signature_when_none_is_named(model):
    answer = await regress(model.data_plane, ModelSpec("m"), EXAMPLES, OPTIONS, None)
    assert answer.signature_name == "serving_default"
    assert answer.result.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("infer", [classify, regress])
@pytest.mark.parametrize(
    ("spec", "examples", "expected"),
    [
        (
            ModelSpec("m", signature_name="none"),
            EXAMPLES,
            (Code.INVALID_ARGUMENT, "No signature was found with the name: none"),
        ),
        (
            ModelSpec("other"),
            EXAMPLES,
            (Code.NOT_FOUND, "Servable not found for request: Latest(other)"),
        ),
    ],
)
async def test_infer_is_refused_when_model_or_signature_is_unknown(model, infer, spec, examples, expected):
    assert await refusal(infer(model.data_plane, spec, examples, OPTIONS, None)) == expected


async def test_input_is_found_empty_only_after_the_signature_was_checked(model):
    wrong = ModelSpec("m", signature_name="predict")
    call = classify(model.data_plane, wrong, ExampleInput(), OPTIONS, None)
    _, message = await refusal(call)
    assert message.startswith("No classification inputs found in SignatureDef: ")
    call = classify(model.data_plane, ModelSpec("m", signature_name="classes"), ExampleInput(), OPTIONS, None)
    assert await refusal(call) == (Code.INVALID_ARGUMENT, "Input is empty.")
    assert model.servable.calls == []


async def test_outputs_are_checked_against_the_number_of_examples_when_the_model_ran(model):
    model.servable.outputs = np.zeros((3, 1), np.float32)
    call = regress(model.data_plane, ModelSpec("m"), EXAMPLES, OPTIONS, None)
    assert await refusal(call) == (
        Code.INVALID_ARGUMENT,
        "Input batch size did not match output batch size: 2 vs. 3",
    )


async def test_models_error_is_passed_on_when_the_run_fails(model):
    model.servable.failing["serving_default"] = invalid_argument("Could not parse example input")
    call = regress(model.data_plane, ModelSpec("m"), EXAMPLES, OPTIONS, None)
    assert await refusal(call) == (Code.INVALID_ARGUMENT, "Could not parse example input")


async def test_method_name_is_checked_when_the_option_is_on(model):
    await regress(model.data_plane, ModelSpec("m", signature_name="length"), EXAMPLES, CHECKED, None)
    _, message = await refusal(regress(model.data_plane, ModelSpec("m"), EXAMPLES, CHECKED, None))
    assert message == (f"Expected regression signature method_name to be {REGRESS}. Was: {PREDICT}")


async def test_results_follow_the_tasks_when_several_are_asked(model):
    answers = await model.multi(task("length", REGRESS), task("classes", CLASSIFY), task("", REGRESS))
    assert [(answer.name, answer.version, answer.signature_name) for answer in answers] == [
        ("m", 7, "length"),
        ("m", 7, "classes"),
        ("m", 7, "serving_default"),
    ]
    assert answers[0].result.values.tolist() == [1.0, 2.0]
    assert answers[1].result.scores.tolist() == [[1.0], [2.0]]
    assert {call[1:] == ([b"a", b"bb"], call[2], 5.0) for call in model.servable.calls} == {True}


async def test_first_task_alone_chooses_the_version_when_others_name_another(model):
    answers = await model.multi(task("length", REGRESS, version=7), task("classes", CLASSIFY, version=99))
    assert [answer.version for answer in answers] == [7, 7]
    assert await refusal(model.multi(task("length", REGRESS, version=99), task("classes", CLASSIFY))) == (
        Code.NOT_FOUND,
        "Servable not found for request: Specific(m, 99)",
    )


INVALID = Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], (INVALID, "ModelSpec has no name specified.")),
        ([task("length", REGRESS, name="")], (INVALID, "ModelSpec has no name specified.")),
        (
            [task("length", REGRESS), task("classes", CLASSIFY, name="")],
            (INVALID, "Found ModelSpec with an empty model name."),
        ),
        (
            [task("length", REGRESS), task("classes", CLASSIFY, name="n")],
            (INVALID, "All ModelSpecs in a MultiInferenceRequest must access the same model name."),
        ),
        (
            [task("length", REGRESS), task("length", CLASSIFY)],
            (INVALID, "Duplicate evaluation of signature: length"),
        ),
        (
            [task("", REGRESS), task("serving_default", REGRESS)],
            (INVALID, "Duplicate evaluation of signature: serving_default"),
        ),
        ([task("none", REGRESS)], (INVALID, "Requested signature not found in model graph: none")),
        ([task("none", "m")], (INVALID, "Requested signature not found in model graph: none")),
        (
            [task("length", PREDICT)],
            (Code.UNIMPLEMENTED, f"Unsupported signature method_name: {PREDICT}"),
        ),
    ],
)
async def test_tasks_are_refused_in_upstreams_words_when_wrong(model, tasks, expected):
    assert await refusal(model.multi(*tasks, examples=ExampleInput())) == expected
    assert model.served.in_flight == 0


async def test_tasks_signature_is_checked_by_the_requests_method_when_it_does_not_fit(model):
    _, message = await refusal(model.multi(task("length", CLASSIFY)))
    assert message.startswith("Expected classification signature outputs to contain")
    assert await refusal(model.multi(task("length", REGRESS), examples=ExampleInput())) == (
        INVALID,
        "Input is empty.",
    )


async def test_tasks_wait_for_the_model_when_its_first_load_is_under_way(model):
    loaded = ServingMap().with_version(model.served)
    data_plane = DataPlane(FakeCore(ServingMap(), first_load=loaded))
    answers = await multi_inference(data_plane, [task("length", REGRESS)], EXAMPLES, OPTIONS, None)
    assert answers[0].result.values.tolist() == [1.0, 2.0]


async def test_other_runs_are_cancelled_when_one_fails(model):
    model.servable.blocking.add("length")
    model.servable.failing["classes"] = invalid_argument("broken")
    call = model.multi(task("length", REGRESS), task("classes", CLASSIFY))
    assert await refusal(asyncio.wait_for(call, 20)) == (INVALID, "broken")
    assert model.servable.cancelled == ["length"]
    assert model.served.in_flight == 0


async def test_version_is_held_until_every_run_has_ended_when_the_caller_goes(model):
    model.servable.blocking.update({"length", "classes"})
    call = asyncio.ensure_future(model.multi(task("length", REGRESS), task("classes", CLASSIFY)))
    await asyncio.wait_for(model.servable.blocked.wait(), 20)
    assert model.served.in_flight == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert sorted(model.servable.cancelled) == ["classes", "length"]
    assert model.served.in_flight == 0
