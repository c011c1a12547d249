"""PyTriton as its documentation has it: `bind` with the dynamic batcher that is its default, behind Triton."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from tests.benchmarks.peers.arguments import arguments, load_model, version_folder


def main() -> None:
    """Serves until it is told to end."""
    told = arguments()
    # Triton runs the function in a Python of its own, which must be this one's library and not the system's.
    known = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = f"{sysconfig.get_config_var('LIBDIR')}:{known}"
    config = TritonConfig(
        http_address="127.0.0.1",
        grpc_address="127.0.0.1",
        http_port=told.port,
        grpc_port=told.grpc_port,
        allow_metrics=False,
    )
    with Triton(config=config) as triton:
        for name in told.names:
            bind(triton, told.models, name)
        triton.serve()


def bind(triton: Triton, models: Path, name: str) -> None:
    """One model, with the shapes of its row and its answer."""
    written = json.loads((models / f"{name}.json").read_text())
    row, answer = np.asarray(written["row"]).shape, np.asarray(written["expected"]).shape[1:]
    triton.bind(
        model_name=name,
        infer_func=infer_with(load_model(version_folder(models, name))),
        inputs=[Tensor(name="x", dtype=np.float32, shape=row)],
        outputs=[Tensor(name="y", dtype=np.float32, shape=answer)],
        config=ModelConfig(max_batch_size=64),
    )


def infer_with(model: Callable[[Any], Any]) -> Any:
    """The function that PyTriton calls with a batch."""

    @batch
    def infer(x: Any) -> list[Any]:
        return [model(x)]

    return infer


if __name__ == "__main__":
    main()
