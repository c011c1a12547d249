"""MLServer as its documentation has it: a folder with settings, adaptive batching on, `mlserver start`."""

from __future__ import annotations

import json
import sys

from mlserver.cli import main

from tests.benchmarks.peers.arguments import arguments, version_folder


def write_settings() -> str:
    """The folder that MLServer is started on."""
    told = arguments()
    folder = told.folder / "mlserver"
    folder.mkdir()
    settings = {
        "host": "127.0.0.1",
        "http_port": told.port,
        "grpc_port": told.grpc_port,
        "metrics_endpoint": None,
        "debug": False,
        "grpc_max_message_length": 2**28,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    for name in told.names:
        model = {
            "name": name,
            "implementation": "tests.benchmarks.peers.mlserver_runtime.Runtime",
            "parameters": {"uri": version_folder(told.models, name)},
            "max_batch_size": 64,
            "max_batch_time": 0.001,
        }
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(model))
    return str(folder)


if __name__ == "__main__":
    sys.argv = ["mlserver", "start", write_settings()]
    main()
