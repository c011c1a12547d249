"""Every kind of SavedModel answers through a worker as it does when TensorFlow is called directly."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.frame import Call

pytestmark = pytest.mark.asyncio(loop_scope="session")


def strings(*texts, shape=None):
    return np.fromiter(texts, object, len(texts)).reshape(shape or (len(texts),))


def echo_inputs():
    random = np.random.default_rng(3)
    inputs = {"bool": np.array([True, False]), "string": strings(b"", b"a\0\xff\0")}
    for name in ["float", "double", "half", "bfloat16"]:
        inputs[name] = random.normal(size=5).astype(
            {"float": "f4", "double": "f8", "half": "f2"}.get(name, ml_dtypes.bfloat16)
        )
    for name in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]:
        limits = np.iinfo(name)
        inputs[name] = np.array([limits.min, 0, limits.max], name)
    for name in ["complex64", "complex128"]:
        inputs[name] = (random.normal(size=2) + 1j).astype(name)
    return inputs


RANDOM = np.random.default_rng(5)
CASES = [
    ("version", "serving_default", {"x": np.ones((3, 1), "f4")}),
    ("half_plus_two", "serving_default", {"x": np.array([1, 2, 5], "f4")}),
    ("half_plus_two", "serving_default", {"x": np.array([], "f4")}),
    ("three_floats", "serving_default", {"x": np.ones((4, 3), "f4")}),
    ("dense784", "serving_default", {"x": RANDOM.normal(size=(64, 784)).astype("f4")}),
    ("echo", "serving_default", echo_inputs()),
    ("strings", "serving_default", {"text": strings(b"a", "é".encode()), "suffix": strings(b"\0", b"")}),
    ("multi_io", "serving_default", {"a": np.ones((2, 2), "f4"), "b": np.array([[0, 1], [2, 3]], "f4")}),
    ("scalar", "serving_default", {"x": np.array(4, "f4")}),
    ("unbatched", "serving_default", {"x": np.array([1, 2, 3], "f4")}),
    ("two_signatures", "serving_default", {"x": np.array([1, 2], "f4")}),
    ("two_signatures", "triple", {"x": np.array([1, 2], "f4")}),
    ("vocabulary", "serving_default", {"word": strings(b"blue", b"mauve", b"red")}),
    ("keras", "serving_default", {"keras_tensor": RANDOM.normal(size=(5, 4)).astype("f4")}),
    ("tf1", "serving_default", {"x": np.array([[1], [2]], "f4")}),
    ("cumsum", "serving_default", {"x": np.array([1, 2, 3], "f4")}),
    ("wide_answer", "serving_default", {"count": np.array(3_000_000, "i4")}),
    ("slow", "serving_default", {"x": np.array([1, 2], "f4")}),
]


@pytest.fixture(scope="module")
def tensorflow_answers(saved_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("oracle")
    cases = [(saved_models / name / "1", signature, inputs) for name, signature, inputs in CASES]
    (folder / "cases").write_bytes(pickle.dumps(cases))
    oracle = Path(__file__).parent / "run_in_tensorflow.py"
    done = subprocess.run(
        [sys.executable, oracle, folder / "cases", folder / "answers"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads((folder / "answers").read_bytes())


def same(one, other):
    other = np.asarray(other, dtype=object if one.dtype == object else None)
    if one.dtype == object or one.dtype.kind in "biu":
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and one.ravel().tolist() == other.ravel().tolist()
        )
    wide = np.complex128
    return one.dtype == other.dtype and np.allclose(one.astype(wide), other.astype(wide), rtol=1e-6)


async def test_every_model_answers_as_in_tensorflow_when_run_in_a_worker(spawn, tensorflow_answers):
    """One test, so that one pool serves all the cases."""
    for (name, signature, inputs), expected in zip(CASES, tensorflow_answers, strict=True):
        worker = await spawn(name)
        for lane in worker.lanes:
            result = await lane.run(Call(signature, inputs))
            assert result.outputs.keys() == expected.keys(), name
            for alias, tensor in result.outputs.items():
                assert same(tensor, expected[alias]), (name, alias, tensor, expected[alias])
            assert result.compute_s > 0
        declared = parse_signatures(worker.signature_defs)[signature]
        assert declared.inputs.keys() == inputs.keys()
        assert declared.outputs.keys() == expected.keys()
        await worker.stop()


async def test_signatures_without_inputs_keep_state_when_called_in_turn(spawn):
    lane = (await spawn("counter")).lanes[0]

    async def output(key, **inputs):
        return float((await lane.run(Call(key, inputs, ("output",)))).outputs["output"])

    by_three = {"delta": np.array(3, "f4")}
    answers = [await output(key) for key in ("get_counter", "incr_counter", "reset_counter", "incr_counter")]
    assert [*answers, await output("incr_counter_by", **by_three)] == [0, 1, 0, 1, 4]


async def test_aliases_of_one_tensor_each_have_it_when_they_are_fed_and_fetched(spawn):
    x = np.array([1, 2], "f4")
    result = await (await spawn("passthrough")).lanes[0].run(Call("serving_default", {"a": x, "b": x}))
    assert {alias: tensor.tolist() for alias, tensor in result.outputs.items()} == {
        "same": [1, 2],
        "y": [2, 4],
        "z": [2, 4],
    }


async def test_only_some_outputs_come_when_the_call_names_them(spawn):
    inputs = {"a": np.ones((1, 2), "f4"), "b": np.ones((1, 2), "f4")}
    result = (
        await (await spawn("multi_io")).lanes[0].run(Call("serving_default", inputs, ("total", "bigger")))
    )
    assert list(result.outputs) == ["total", "bigger"]


async def test_model_without_signatures_loads_when_there_is_nothing_to_call(spawn):
    worker = await spawn("no_signatures")
    assert parse_signatures(worker.signature_defs) == {}


X = {"x": np.array([1], "f4")}


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        (Call("other", X), Code.FAILED_PRECONDITION, 'Serving signature key "other" not found.'),
        (Call("__saved_model_init_op", {}), Code.FAILED_PRECONDITION, "is not a function of tensors"),
        (
            Call("", X, ("z",)),
            Code.INVALID_ARGUMENT,
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (Call("", {}), Code.INVALID_ARGUMENT, "input size does not match signature: 0!=1"),
        (Call("", {"z": X["x"]}), Code.INVALID_ARGUMENT, "Signature input alias: x not found in request"),
        (Call("", {"x": np.array([1], "i4")}), Code.INVALID_ARGUMENT, "int32"),
        (Call("", {"x": np.array([-1], "f4")}), Code.INVALID_ARGUMENT, "x must not be negative"),
    ],
)
async def test_call_fails_with_its_code_when_the_model_cannot_run_it(spawn, call, code, text):
    lane = (await spawn("fail_run")).lanes[0]
    with pytest.raises(ServingError) as raised:
        await lane.run(call)
    assert raised.value.code is code
    assert text in raised.value.message
    assert "Traceback" not in raised.value.message
    assert ".py" not in raised.value.message
    assert (await lane.run(Call("", X))).outputs["y"].tolist() == [1]
