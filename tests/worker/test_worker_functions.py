"""Models without signatures: what is derived from their functions, and that it runs."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.worker.frame import Call

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOATS = np.array([1, 2], "f4")
WORDS = np.array([b"green", b"pink"], object)


def described(specs):
    return {alias: (spec.dtype, spec.shape) for alias, spec in specs.items()}


async def test_signatures_are_the_functions_when_the_model_has_none(spawn):
    signatures = parse_signatures((await spawn("module")).signature_defs)
    assert {key: (described(one.inputs), described(one.outputs)) for key, one in signatures.items()} == {
        "serving_default": ({"x": ("float", (-1, -1))}, {"output_0": ("float", (-1, -1))}),
        "index": (
            {"word": ("string", (-1,))},
            {"output_0": ("int64", (-1,)), "output_1": ("string", (-1,))},
        ),
        "features": ({"a": ("float", (-1,)), "b": ("float", (-1,))}, {"sum": ("float", (-1,))}),
        "weighted": (
            {"pair_0": ("float", (-1,)), "pair_1": ("float", (-1,)), "weight": ("float", ())},
            {"output_0": ("float", (-1,))},
        ),
    }
    assert {one.method_name for one in signatures.values()} == {"tensorflow/serving/predict"}


@pytest.mark.parametrize(
    ("key", "inputs", "outputs"),
    [
        ("", {"x": np.array([[1, 2, 4]], "f4")}, {"output_0": [[3, 6, 12]]}),
        ("index", {"word": WORDS}, {"output_0": [1, -1], "output_1": [b"green", b"pink"]}),
        ("features", {"a": FLOATS, "b": FLOATS}, {"sum": [2, 4]}),
        (
            "weighted",
            {"pair_0": FLOATS, "pair_1": FLOATS, "weight": np.array(10, "f4")},
            {"output_0": [11, 22]},
        ),
    ],
)
async def test_derived_signature_answers_when_it_is_called(spawn, key, inputs, outputs):
    """Variables and tables hold what was saved; `__call__` is the one for inference."""
    result = await (await spawn("module")).lanes[0].run(Call(key, inputs))
    assert {alias: tensor.tolist() for alias, tensor in result.outputs.items()} == outputs


async def test_function_is_left_out_when_it_takes_no_plain_tensors(spawn):
    with pytest.raises(ServingError, match='Serving signature key "ragged" not found'):
        await (await spawn("module")).lanes[0].run(Call("ragged", {"rows": FLOATS}))
