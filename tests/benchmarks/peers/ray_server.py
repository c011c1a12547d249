"""Ray Serve as its documentation has dynamic batching: a deployment with `@serve.batch` for each model."""

from __future__ import annotations

import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from tests.benchmarks.peers.arguments import arguments, load_model, version_folder


@serve.deployment(max_ongoing_requests=1024)
class Net:
    def __init__(self, version: str) -> None:
        self.model = load_model(version)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def many(self, rows: list[Any]) -> list[Any]:
        return [[one] for one in self.model(rows).tolist()]

    async def __call__(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"predictions": await self.many(body["instances"][0])}


if __name__ == "__main__":
    told = arguments()
    # What Ray calls CPUs are places that it gives away, one to each model; it looks at no core.
    ray.init(
        address="local", num_cpus=len(told.names) + 1, include_dashboard=False, object_store_memory=2**28
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": told.port}, logging_config={"enable_access_log": False}
    )
    for name in told.names:
        serve.run(Net.bind(version_folder(told.models, name)), name=name, route_prefix=f"/{name}")
    threading.Event().wait()
