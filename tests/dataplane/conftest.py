"""RestApi on a real ServerCore whose versions are plain Python: half plus two, and some that go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.batching.task import Waiter
from jupyter_tfserve.codec.protos import Example, SignatureDefMap
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.dataplane.rest import RestApi
from jupyter_tfserve.dataplane.traffic import Traffic
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.history import History
from jupyter_tfserve.lifecycle.policy import All
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import LifecycleOptions, LimitOptions
from jupyter_tfserve.types import ServableId, Signature, Tensors, TensorSpec


def spec(dtype: str = "float", *shape: int) -> TensorSpec:
    return TensorSpec("t:0", dtype, shape or (-1,))


X, Y, TEXT = {"x": spec()}, {"y": spec()}, {"inputs": spec("string")}
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
SIGNATURES: Mapping[str, Signature] = {
    "serving_default": Signature(PREDICT, X, Y),
    "both": Signature(PREDICT, X, {"y": spec(), "same": spec()}),
    "no_inputs": Signature(PREDICT, {}, Y),
    "version": Signature(PREDICT, X, {"version": spec("int64")}),
    "fails": Signature(PREDICT, X, Y),
    "echo": Signature(PREDICT, {"s": spec("string")}, {"s_bytes": spec("string")}),
    "complex": Signature(PREDICT, {"x": spec("complex64")}, Y),
    "scores": Signature(CLASSIFY, TEXT, {"scores": spec("float", -1, 1)}),
    "names": Signature(CLASSIFY, TEXT, {"scores": spec("float", -1, 1), "classes": spec("string", -1, 1)}),
    "regress": Signature(REGRESS, TEXT, {"outputs": spec("float", -1, 1)}),
    "nonsense": Signature("my/method", TEXT, {"scores": spec("float", -1, 1)}),
}


class FakeVersion:
    """y = x / 2 + 2; what "fails" raises is `error`. `loaded` holds the load until it is set."""

    def __init__(self, servable: ServableId, models: FakeModels) -> None:
        self._id = servable
        self._models = models
        self.signatures = SIGNATURES
        self.traffic = Traffic(0.0)
        signature_defs = SignatureDefMap()
        for key, signature in SIGNATURES.items():
            signature_defs.signature_def[key].method_name = signature.method_name
        self.signature_defs = signature_defs.SerializeToString()

    async def load(self) -> None:
        await self._models.loaded.wait()

    async def unload(self) -> None:
        pass

    async def run(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        if watch is not None:
            watch.queue_s, watch.compute_s = 1e-9, 2e-9
        self._models.timeouts.append(timeout_s)
        return self._answer(key, inputs, outputs)

    def begin(
        self,
        key: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        waiter: Waiter,
        watch: Stopwatch | None = None,
    ) -> None:
        if self._models.refusal is not None:
            raise self._models.refusal
        try:
            answer = self._answer(key, inputs, outputs)
        except ServingError as error:
            waiter.set_exception(error)
        else:
            self._models.begun.append(waiter)
            asyncio.get_running_loop().call_soon(lambda: None if waiter.done() else waiter.set_result(answer))

    def _answer(self, key: str, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        if key == "fails":
            raise self._models.error
        if "inputs" in inputs:
            x = np.array([feature_x(text) for text in inputs["inputs"]], np.float32).reshape(-1, 1)
            names = np.array([[f"is {value:g}".encode()] for value in x[:, 0].tolist()], object)
            known = {"scores": x / 2 + 2, "outputs": x / 2 + 2, "classes": names}
        elif "s" in inputs:
            known = {"s_bytes": inputs["s"]}
        else:
            x = inputs["x"]
            version = np.full(x.shape, self._id.version)
            known = {"y": x / 2 + 2, "same": x, "version": version}
        return {alias: known[alias] for alias in outputs}


def feature_x(text: bytes) -> float:
    features = Example.FromString(text).features.feature
    return features["x"].float_list.value[0] if features["x"].float_list.value else 0.0


@dataclass
class FakeModels:
    error: ServingError = field(default_factory=lambda: ServingError(Code.INTERNAL, "it broke"))
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    timeouts: list[float | None] = field(default_factory=list)
    begun: list[Waiter] = field(default_factory=list)
    refusal: Exception | None = None

    def __call__(self, servable: ServableId, path: Path) -> FakeVersion:
        return FakeVersion(servable, self)


@dataclass
class Rest:
    """The API, its core and its models, and short ways to ask."""

    api: RestApi
    core: ServerCore[FakeVersion]
    models: FakeModels
    plane: DataPlane
    asks_twice: bool = True
    """What can be begun without a coroutine is asked both ways."""

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> HttpResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = HttpRequest(method, target, named, body)
        response = await self.api.handle(request)
        begun = await self.begin(request) if self.asks_twice else None
        assert begun is None or begun == response
        return response

    async def begin(self, request: HttpRequest) -> HttpResponse | None:
        """What is replied to it; None if it is left to the handler."""
        replied: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        if self.api.begin(request, replied.set_result) is None:
            return None
        return await asyncio.wait_for(replied, 10)

    async def predict(self, body: bytes, model: str = "m", **headers: str) -> HttpResponse:
        return await self.ask("POST", f"/v1/models/{model}:predict", body, **headers)


def make_version(base: Path, version: int) -> None:
    """A folder that looks like a version whose files have been quiet for long."""
    folder = base / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "saved_model.pb"
    file.write_bytes(b"model")
    for path in (file, folder):
        os.utime(path, (time.time() - 60,) * 2)


@pytest.fixture(name="serving_rest")
def serving_rest_fixture(tmp_path: Path):
    """`async with serving_rest(limits, …) as rest`: model m with versions 1 and 2, labels old -> 1, new -> 2.

    Its load is held back when `is_loaded` is false.
    """

    def serve(limits: LimitOptions | None = None, **options: Any) -> AbstractAsyncContextManager[Rest]:
        return serving_rest(tmp_path / "m", limits, **options)

    return serve


@pytest.fixture
async def rest_once(tmp_path: Path) -> AsyncIterator[Rest]:
    """One of them, for all examples of a property."""
    async with serving_rest(tmp_path / "m") as rest:
        yield rest


@contextlib.asynccontextmanager
async def serving_rest(
    base: Path,
    limits: LimitOptions | None = None,
    is_loaded: bool = True,
    timeout_ms: int = 30_000,
    **options: Any,
) -> AsyncIterator[Rest]:
    """As the fixture says."""
    for version in (1, 2):
        make_version(base, version)
    models = FakeModels()
    lifecycle = LifecycleOptions(file_system_poll_wait_seconds=60, max_num_load_retries=0)
    core: ServerCore[FakeVersion] = ServerCore(models, lifecycle, StateStore(None), History(None))
    await core.start()
    try:
        await core.open_models(resolve_base_path(str(base), "m"))
        if is_loaded:
            models.loaded.set()
            await label_versions(core)
        plane = DataPlane(core)
        api = RestApi(
            plane,
            limits or LimitOptions(),
            timeout_ms,
            lambda: {"models": ["m"]},
            lambda: is_loaded,
            **options,
        )
        yield Rest(api, core, models, plane)
    finally:
        models.loaded.set()
        await core.close(drain_timeout_s=1)


async def label_versions(core: ServerCore[FakeVersion]) -> None:
    await core.set_policy("m", All())
    for label, version in (("old", 1), ("new", 2)):
        await core.wait_version("m", version, 10)
        await core.set_label("m", label, version)
