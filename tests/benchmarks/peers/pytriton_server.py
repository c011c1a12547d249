"""PyTriton as its documentation has it: `bind` with the dynamic batcher that is its default, behind Triton."""

from __future__ import annotations

import json
import os
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from tests.benchmarks.peers.arguments import arguments, load_model


def main() -> None:
    """Serves until it is told to end."""
    told = arguments()
    # Triton runs the function in a Python of its own, which must be this one's library and not the system's.
    known = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = f"{sysconfig.get_config_var('LIBDIR')}:{known}"
    model = load_model(told.model)
    written = json.loads(Path(told.model).parent.with_suffix(".json").read_text())
    row, answer = np.asarray(written["row"]).shape, np.asarray(written["expected"]).shape[1:]

    @batch
    def infer(x: Any) -> list[Any]:
        return [model(x)]

    config = TritonConfig(
        http_address="127.0.0.1",
        grpc_address="127.0.0.1",
        http_port=told.port,
        grpc_port=told.grpc_port,
        allow_metrics=False,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=told.name,
            infer_func=infer,
            inputs=[Tensor(name="x", dtype=np.float32, shape=row)],
            outputs=[Tensor(name="y", dtype=np.float32, shape=answer)],
            config=ModelConfig(max_batch_size=64),
        )
        triton.serve()


if __name__ == "__main__":
    main()
