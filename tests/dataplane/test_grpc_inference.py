"""Classify, Regress and MultiInference end to end: unmodified stubs, real sockets, a real worker."""

from __future__ import annotations

import grpc
import pytest
import pytest_asyncio

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.json_examples import encode_classify, encode_regress, parse_examples
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.dataplane.inference import InferenceOptions, classify, regress
from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.engine.version_runtime import VersionRuntime
from jupyter_tfserve.lifecycle.serving_map import ServedVersion, ServingMap
from jupyter_tfserve.options import EngineOptions, LimitOptions, ListenOptions, WorkerOptions
from jupyter_tfserve.types import ModelSpec, ServableId
from jupyter_tfserve.worker.pool import WorkerPool

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLASSIFY, REGRESS, PREDICT = (f"tensorflow/serving/{verb}" for verb in ("classify", "regress", "predict"))
MODELS = ("half_plus_two", "half_plus_three")
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class LoadedModels:
    """What the data plane asks of the core when everything is loaded."""

    def __init__(self) -> None:
        self.serving_map = ServingMap()
        self.manager = self

    def aspired_statuses(self, _name: str) -> list[object]:
        return []

    def first_load_pending(self, _name: str) -> bool:
        return False

    def next_load_pending(self, _name: str) -> bool:
        return False


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def data_plane(inference_models):
    pool = WorkerPool(WorkerOptions())
    await pool.start()
    core, runtimes = LoadedModels(), []
    try:
        for name in MODELS:
            servable = ServableId(name, 123)
            runtime = VersionRuntime(
                servable, inference_models / name / "123", pool, EngineOptions(), lambda *_: None
            )
            await runtime.load()
            runtimes.append(runtime)
            core.serving_map = core.serving_map.with_version(ServedVersion(servable, runtime))
        yield DataPlane(core)
    finally:
        for runtime in runtimes:
            await runtime.unload()
        await pool.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stub(data_plane):
    server = GrpcServer(data_plane, ListenOptions(grpc_port=-1), LimitOptions(), GrpcOptions())
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield protos.PredictionServiceStub(channel)
    await server.stop(0)


def example(**features: float) -> protos.Example:
    message = protos.Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message


def request(request_type, signature, *examples, context=None, name="half_plus_two"):
    message = request_type()
    message.model_spec.name = name
    message.model_spec.signature_name = signature
    if context is None:
        message.input.example_list.examples.extend(examples)
    else:
        message.input.example_list_with_context.context.CopyFrom(context)
        message.input.example_list_with_context.examples.extend(examples)
    return message


def regression(signature, *examples, **others):
    return request(protos.RegressionRequest, signature, *examples, **others)


def classification(signature, *examples, **others):
    return request(protos.ClassificationRequest, signature, *examples, **others)


def tasks(*wanted, examples=(), name="half_plus_two"):
    message = protos.MultiInferenceRequest()
    for signature, method in wanted:
        task = message.tasks.add(method_name=method)
        task.model_spec.name = name
        task.model_spec.signature_name = signature
    message.input.example_list.examples.extend(examples)
    return message


def values(response) -> list[float]:
    return [entry.value for entry in response.regressions]


def classes(response) -> list[list[tuple[str, float]]]:
    return [[(entry.label, entry.score) for entry in row.classes] for row in response.classifications]


async def failure(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_regress_answers_in_order_with_the_version_when_all_is_well(stub):
    response = await stub.Regress(regression("regress_x_to_y", example(x=80), example(x=2)), timeout=60)
    assert values(response.result) == [42.0, 3.0]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "regress_x_to_y")


async def test_classify_scores_in_order_when_the_signature_has_no_labels(stub):
    response = await stub.Classify(classification("classify_x_to_y", example(x=20), example(x=2)), timeout=60)
    assert classes(response.result) == [[("", 12.0)], [("", 3.0)]]
    assert response.model_spec.signature_name == "classify_x_to_y"
    assert response.model_spec.version.value == 123


async def test_classify_labels_and_scores_when_the_signature_has_both(stub):
    response = await stub.Classify(classification("classify_names", example(x=20)), timeout=60)
    assert classes(response.result) == [[("is 12", 12.0)]]


async def test_context_counts_unless_the_example_has_the_feature_when_given(stub):
    message = regression("regress_x_to_y", example(x=2), example(x2=1), context=example(x=80))
    assert values((await stub.Regress(message, timeout=60)).result) == [3.0, 42.0]


async def test_regress_feeds_strings_when_the_signature_wrongly_says_float(stub):
    message = regression(REGRESS, example(x=1), example(x=2), name="half_plus_three")
    assert values((await stub.Regress(message, timeout=60)).result) == [3.5, 4.0]


async def test_results_follow_the_tasks_when_several_are_asked(stub):
    message = tasks(
        ("regress_x_to_y2", REGRESS),
        ("classify_x_to_y", CLASSIFY),
        ("regress_x_to_y", REGRESS),
        examples=[example(x=2), example(x=4)],
    )
    first, second, third = (await stub.MultiInference(message, timeout=60)).results
    assert values(first.regression_result) == [4.0, 5.0]
    assert classes(second.classification_result) == [[("", 3.0)], [("", 4.0)]]
    assert values(third.regression_result) == [3.0, 4.0]
    assert [
        (each.model_spec.signature_name, each.model_spec.version.value) for each in (first, second, third)
    ] == [
        ("regress_x_to_y2", 123),
        ("classify_x_to_y", 123),
        ("regress_x_to_y", 123),
    ]


@pytest.mark.parametrize("method", ["Regress", "Classify"])
async def test_call_is_refused_when_the_model_is_not_named(stub, method):
    request_type = protos.RegressionRequest if method == "Regress" else protos.ClassificationRequest
    call = getattr(stub, method)
    assert await failure(call(request_type(), timeout=60)) == (INVALID, "Missing ModelSpec")
    assert await failure(call(request(request_type, "", name=""), timeout=60)) == (
        INVALID,
        "ModelSpec has no name specified.",
    )
    assert await failure(call(request(request_type, "", name="other"), timeout=60)) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(other)",
    )
    assert await failure(call(request(request_type, "none", example(x=1)), timeout=60)) == (
        INVALID,
        "No signature was found with the name: none",
    )


async def test_call_is_refused_when_it_has_no_examples(stub):
    assert await failure(stub.Regress(regression("regress_x_to_y"), timeout=60)) == (
        INVALID,
        "Input is empty.",
    )
    empty = classification("classify_x_to_y", context=example(x=1))
    assert await failure(stub.Classify(empty, timeout=60)) == (INVALID, "Input is empty.")
    empty = tasks(("regress_x_to_y", REGRESS))
    assert await failure(stub.MultiInference(empty, timeout=60)) == (INVALID, "Input is empty.")


async def test_tasks_are_refused_when_wrong(stub):
    none = protos.MultiInferenceRequest()
    none.tasks.add(method_name=REGRESS)
    assert await failure(stub.MultiInference(none, timeout=60)) == (
        INVALID,
        "ModelSpec has no name specified.",
    )
    unsupported = tasks(("regress_x_to_y", PREDICT), examples=[example(x=1)])
    assert await failure(stub.MultiInference(unsupported, timeout=60)) == (
        grpc.StatusCode.UNIMPLEMENTED,
        f"Unsupported signature method_name: {PREDICT}",
    )


async def test_models_own_words_reach_the_caller_when_a_feature_is_missing(stub):
    code, details = await failure(stub.Regress(regression("regress_x_to_y", example(x2=1)), timeout=60))
    assert code is INVALID
    assert "Feature: x (data type: float) is required but could not be found." in details


async def test_method_name_is_checked_when_the_option_is_on(data_plane):
    options = GrpcOptions(enable_signature_method_name_check=True)
    server = GrpcServer(data_plane, ListenOptions(grpc_port=-1), LimitOptions(), options)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await server.start()}") as channel:
        stub = protos.PredictionServiceStub(channel)
        await stub.Regress(regression("regress_x_to_y", example(x=1)), timeout=60)
        assert await failure(stub.Classify(classification("regress_x_to_y", example(x=1)), timeout=60)) == (
            INVALID,
            f"Expected classification signature method_name to be {CLASSIFY}. Was: {REGRESS}",
        )
    await server.stop(0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}',
            b'{\n    "results": [42.0]\n}',
        ),
        (
            b'{"signature_name": "regress_x_to_y", "context": {"x": 4.0}, "examples": [{}, {"x": [2.0]}]}',
            b'{\n    "results": [4.0, 3.0]\n}',
        ),
    ],
)
async def test_rest_regression_is_upstreams_when_the_body_is_its_example(data_plane, body, expected):
    document = parse_examples(body, LimitOptions())
    spec = ModelSpec("half_plus_two", signature_name=document.signature_name)
    answer = await regress(data_plane, spec, document.input, InferenceOptions(LimitOptions()), 60)
    assert encode_regress(answer.result) == expected


async def test_rest_classification_is_upstreams_when_the_body_is_its_example(data_plane):
    document = parse_examples(
        b'{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}', LimitOptions()
    )
    spec = ModelSpec("half_plus_two", signature_name=document.signature_name)
    answer = await classify(data_plane, spec, document.input, InferenceOptions(LimitOptions()), 60)
    assert encode_classify(answer.result) == b'{\n    "results": [[["", 12.0]]\n    ]\n}'
