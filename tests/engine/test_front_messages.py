"""What crosses between the engine and its fronts: it comes back as it was, however the stream is cut."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.metrics import RequestMetrics
from jupyter_tfserve.dataplane.predict import SignatureNotFound
from jupyter_tfserve.engine.front_link import FrontLink
from jupyter_tfserve.engine.front_messages import (
    Fingerprints,
    FrontOptions,
    error_from_json,
    error_to_json,
    options_from_json,
    options_to_json,
    shared_limits,
    signature_from_json,
    signature_to_json,
)
from jupyter_tfserve.errors import Code, Overloaded, ServingError
from jupyter_tfserve.options import GrpcOptions, LimitOptions, ListenOptions, TlsOptions
from jupyter_tfserve.types import Signature, TensorSpec
from jupyter_tfserve.worker.cpus import fronts_for
from jupyter_tfserve.worker.frame import Frame, decode_tensors

X = TensorSpec("x:0", "float", (-1, 3))


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()

    def write(self, data: Any) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return False


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=4), st.lists(st.integers(1, 70_000), max_size=8)
)
def test_frames_come_whole_however_the_stream_is_cut(sizes: list[int], cuts: list[int]) -> None:
    async def run() -> list[Frame]:
        received: list[Frame] = []
        wire = Wire()
        sender, receiver = (FrontLink(received.append, lambda: None) for _ in range(2))
        sender.connection_made(wire)
        for number, size in enumerate(sizes):
            if number % 2:
                sender.send({"i": number, "name": "\udc80"}, bytes(size))
            else:
                sender.send_tensors({"i": number, "name": "\udc80"}, {"x": np.arange(size, dtype=np.uint8)})
        await asyncio.sleep(0)
        stream = bytes(wire.sent)
        for cut in cuts:
            receiver.data_received(stream[:cut])
            stream = stream[cut:]
        receiver.data_received(stream)
        return received

    received = asyncio.run(run())
    assert [(frame.header["i"], frame.header["name"]) for frame in received] == [
        (number, "\udc80") for number in range(len(sizes))
    ]
    for number, (size, frame) in enumerate(zip(sizes, received, strict=True)):
        if number % 2:
            assert frame.body == bytes(size)
        else:
            assert np.array_equal(decode_tensors(frame)["x"], np.arange(size, dtype=np.uint8))


def test_signature_comes_back_and_equal_ones_have_equal_fingerprints() -> None:
    signature = Signature("m", {"x": X, "s": TensorSpec("s", "string", None)}, {"y": X})
    back = signature_from_json(signature_to_json(signature), {})
    assert back == signature
    names = Fingerprints()
    assert names.of(back) == names.of(signature) == Fingerprints().of(signature)
    others = [
        Signature("m", {"x": X}, {"y": X}),
        Signature("m", {"x": X}, {"y": X}, {"x": np.zeros(1, np.float32)}),
        Signature("m", {"x": X}, {"y": X}, {"x": np.ones(1, np.float32)}),
        Signature("m", {"x": X}, {"y": X}, {"x": np.array([b"a"], object)}),
    ]
    assert len({names.of(one) for one in [signature, *others]}) == 5


@pytest.mark.parametrize(
    "error",
    [
        ServingError(Code.NOT_FOUND, "no", "a hint"),
        Overloaded(Code.RESOURCE_EXHAUSTED, "full", 2.5),
        SignatureNotFound("key", {"a": Signature("", {}, {})}),
    ],
)
def test_error_comes_back_with_all_that_edges_make_of_it(error: ServingError) -> None:
    back = error_from_json(error_to_json(error))
    assert type(back) is type(error)
    assert (back.code, back.message, back.hint) == (error.code, error.message, error.hint)
    assert getattr(back, "key", None) == getattr(error, "key", None)
    assert getattr(back, "retry_after_s", None) == getattr(error, "retry_after_s", None)


@pytest.mark.parametrize("tls", [None, TlsOptions(b"key\xff", b"cert", b"", True)])
def test_options_come_back(tls: TlsOptions | None) -> None:
    options = FrontOptions(
        ListenOptions(require_keys=True),
        LimitOptions(max_connections=7),
        GrpcOptions(channel_arguments=(("a", 1), ("b", "c")), tls=tls),
        8500,
        {"service": ("Method",)},
    )
    assert options_from_json(options_to_json(options)) == options


def test_connections_are_divided_and_other_limits_stay() -> None:
    assert shared_limits(LimitOptions(max_connections=9), 4) == LimitOptions(max_connections=2)
    assert shared_limits(LimitOptions(max_connections=1), 4) == LimitOptions(max_connections=1)


def test_counts_are_taken_once_and_add_up() -> None:
    front, engine = RequestMetrics("REST"), RequestMetrics("REST")
    for _ in range(2):
        front.succeeded("m", "predict", 0.0, run_s=0.5)
        front.failed("m", ServingError(Code.NOT_FOUND, "no"))
        engine.include(front.take())
    engine.include(front.take())
    ((_, _, latency, runtime),) = engine.answered()
    assert (sum(latency.counts), sum(runtime.counts), runtime.sum) == (2, 2, 1e6)
    assert engine.failures.items() == {("m", "NOT_FOUND"): 2}


def test_fronts_are_one_up_to_four_cpus_and_more_above() -> None:
    assert [fronts_for(count) for count in (1, 4, 5, 8, 16, 64)] == [1, 1, 2, 2, 4, 8]
