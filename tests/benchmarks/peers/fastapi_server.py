"""FastAPI as its documentation has machine learning: models are loaded in the lifespan, the path operation calls one."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.benchmarks.peers.arguments import arguments, load_model, version_folder

ARGUMENTS = arguments()
MODELS: dict[str, Any] = {}


class Rows(BaseModel):
    instances: list[Any]


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    for name in ARGUMENTS.names:
        MODELS[name] = load_model(version_folder(ARGUMENTS.models, name))
    if ARGUMENTS.gc_freeze:
        gc.collect()
        gc.freeze()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict/{name}")
async def predict(name: str, rows: Rows) -> dict[str, Any]:
    return {"predictions": MODELS[name](rows.instances).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=ARGUMENTS.port, log_level="warning", access_log=False)
