"""Operation libraries: a model of a custom operation runs with its library, and says what it misses without."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.frame import Call
from tests.contract.engines import running_engine

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]

SOURCE = """
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
namespace tf = tensorflow;
REGISTER_OP("TestPlusOne").Input("x: float").Output("y: float").SetShapeFn(
    [](tf::shape_inference::InferenceContext* c) { c->set_output(0, c->input(0)); return absl::OkStatus(); });
struct PlusOne : public tf::OpKernel {
  explicit PlusOne(tf::OpKernelConstruction* context) : OpKernel(context) {}
  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    tf::Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    for (int i = 0; i < x.NumElements(); ++i) y->flat<float>()(i) = x.flat<float>()(i) + 1;
  }
};
REGISTER_KERNEL_BUILDER(Name("TestPlusOne").Device(tf::DEVICE_CPU), PlusOne);
"""

MAKE = """
import subprocess, sys
import tensorflow as tf
source, library, model = sys.argv[1:]
flags = [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
subprocess.run(["g++", "-shared", "-fPIC", "-w", "-O0", source, "-o", library, *flags], check=True)
operation = tf.load_op_library(library)
module = tf.Module()
module.f = tf.function(lambda x: {"y": operation.test_plus_one(x=x)})
spec = tf.TensorSpec([None], tf.float32, name="x")
tf.saved_model.save(module, model, {"serving_default": module.f.get_concrete_function(spec)})
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with plus_one.so and a model that needs it."""
    folder = tmp_path_factory.mktemp("op_library")
    (folder / "plus_one.cc").write_text(SOURCE)
    arguments = [str(folder / name) for name in ("plus_one.cc", "plus_one.so", "model")]
    done = subprocess.run(
        [sys.executable, "-c", MAKE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


async def test_model_runs_when_its_operations_library_is_given(made, make_pool):
    pool = await make_pool(custom_op_libraries=(str(made / "plus_one.so"),))
    worker = await pool.spawn(ServableId("plus_one", 1), made / "model")
    result = await worker.lanes[0].run(Call("", {"x": np.array([1, 2], "f4")}))
    assert result.outputs["y"].tolist() == [2, 3]


async def test_load_fails_when_the_operation_is_not_known(made, make_pool):
    pool = await make_pool()
    with pytest.raises(ServingError, match="TestPlusOne"):
        await pool.spawn(ServableId("plus_one", 1), made / "model")


async def test_load_fails_when_the_library_is_none(made, make_pool, tmp_path):
    (tmp_path / "broken.so").write_bytes(b"no library")
    pool = await make_pool(custom_op_libraries=(str(tmp_path / "broken.so"),))
    with pytest.raises(ServingError, match=r"The operation library broken\.so cannot be loaded") as raised:
        await pool.spawn(ServableId("plus_one", 1), made / "model")
    assert raised.value.code is Code.FAILED_PRECONDITION


async def test_server_runs_the_model_when_its_flag_names_the_library(made, tmp_path):
    """From the command line to an answer."""
    (tmp_path / "plus_one").mkdir()
    (tmp_path / "plus_one" / "1").symlink_to(made / "model")
    flags = (
        f"--model_base_path={tmp_path / 'plus_one'}",
        "--model_name=plus_one",
        f"--custom_op_libraries={made / 'plus_one.so'}",
    )
    with running_engine(tmp_path / "engine", *flags) as engine:
        engine.wait_version("plus_one", 1)
        assert engine.predict("plus_one", instances=[1.0, 41.0]) == {"predictions": [2.0, 42.0]}
