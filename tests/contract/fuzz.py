"""Requests that nobody means: random and mutated bytes for every door, and what may be answered to them.

Everything comes from one seeded generator, so that a failure can be met again.
"""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import grpc
import numpy as np

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor

ANSWER_DEADLINE_S = 20
ALLOWED_SERVER_ERRORS = frozenset({501, 503})
BAD_STATUSES = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS})
MODEL = "half_plus_two"
VERBS = ("predict", "classify", "regress")
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"BREW")
BODIES = (
    b'{"instances": [1.0, 2.0, 5.0]}',
    b'{"inputs": {"x": [[1.0], [2.0]]}}',
    b'{"signature_name": "serving_default", "instances": [{"x": [3.0]}, {"x": [4.0]}]}',
    b'{"signature_name": "classify_x_to_y", "context": {"x": 1.0}, "examples": [{"x": [20.0]}, {}]}',
    b'{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": {"b64": "AAAA"}}]}',
    b'{"inputs": {"a": [[1, 2]], "b": [[3e2, -4.5]]}, "ignored": [null, true, "\\u00e9\\n"]}',
)
TARGETS = (
    b"/v1/models/half_plus_two",
    b"/v1/models/half_plus_two/versions/123/metadata",
    b"/v1/models/half_plus_two/labels/x:classify",
    b"/v1/models/multi_io:predict?x=1#y",
    b"/v1/models/%2F%00:regress",
    b"/monitoring/prometheus/metrics",
    b"/healthz",
)
GRPC_METHODS = (
    "/tensorflow.serving.PredictionService/Predict",
    "/tensorflow.serving.PredictionService/Classify",
    "/tensorflow.serving.PredictionService/Regress",
    "/tensorflow.serving.PredictionService/MultiInference",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
    "/tensorflow.serving.SessionService/SessionRun",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/tensorflow.ProfilerService/Terminate",
    "/tensorflow.ProfilerService/Profile",
    "/tensorflow.ProfilerService/Monitor",
)


@dataclass
class Tally:
    """What came back how often, and the requests whose answer is a fault."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def count(self, answer: str, is_fault: bool, request: bytes) -> None:
        self.answers[answer] += 1
        if is_fault and len(self.faults) < 10:
            self.faults.append(f"{answer} to {request[:600]!r}")


class Generator:
    """Random requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._messages = _messages()

    def http(self) -> tuple[bytes, bool]:
        """The bytes of a request, and whether they are one request by HTTP's rules, which has an answer."""
        kind = self.random.randrange(8)
        if kind == 0:
            return self.noise(300), False
        if kind == 1:
            return self.mutated(self._request(b"POST", TARGETS[0] + b":predict", BODIES[0])), False
        return (self._odd_target() if kind < 4 else self._odd_body(kind)), True

    def _odd_target(self) -> bytes:
        target = b"/v1/models/" + self.noise(60)
        if self.random.random() < 0.5:
            target = self.mutated(self.random.choice(TARGETS))
        return self._request(self.random.choice(METHODS), self._printable(target) or b"/", self.noise(20))

    def _odd_body(self, kind: int) -> bytes:
        model = self.random.choice((b"half_plus_two", b"multi_io", b"json_echo"))
        target = b"/v1/models/" + model + b":" + self.random.choice(VERBS).encode()
        body, headers = self.mutated(self.random.choice(BODIES)), b""
        if kind == 4:
            body = self.noise(200)
        elif kind == 5:
            body, headers = self.mutated(gzip.compress(body, 1)), b"Content-Encoding: gzip\r\n"
        elif kind == 6:
            headers = self._header_noise()
        return self._request(b"POST", target, body, headers)

    def grpc(self) -> tuple[str, bytes]:
        """A method and a body."""
        method = self.random.choice(GRPC_METHODS)
        if self.random.random() < 0.02:
            method = "/" + "".join(self.random.choices("abc./%ServingPredict", k=12))
        known = self._messages.get(method)
        body = self.noise(120) if known is None or self.random.random() < 0.3 else self.mutated(known)
        if method.endswith("HandleReloadConfigRequest") and _would_reload(body):
            body = b"\x0a\x00"
        return method, body

    def noise(self, size: int) -> bytes:
        """Random bytes."""
        return self.random.randbytes(self.random.randrange(size))

    def mutated(self, whole: bytes) -> bytes:
        """The bytes with a few things wrong: flipped, dropped, doubled, put in, cut off."""
        changed = bytearray(whole)
        for _ in range(self.random.randint(0, 3)):
            at = self.random.randrange(len(changed) + 1)
            match self.random.randrange(5):
                case 0:
                    changed[at : at + 1] = bytes([self.random.randrange(256)])
                case 1:
                    del changed[at : at + self.random.randrange(8)]
                case 2:
                    changed[at:at] = changed[at : at + 12]
                case 3:
                    changed[at:at] = self.random.choice(
                        (b"[", b"{", b'"', b"1e9", b"-", b"\0", b"null", b",")
                    )
                case _:
                    del changed[at + self.random.randrange(64) :]
        return bytes(changed)

    def _request(self, method: bytes, target: bytes, body: bytes, headers: bytes = b"") -> bytes:
        head = b"%b %b HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n"
        return head % (method, target, headers, len(body)) + body

    def _printable(self, noise: bytes) -> bytes:
        """Without what would end the target; other bytes stay."""
        return noise.translate(None, b"\r\n \t\0\x0b\x0c")

    def _header_noise(self) -> bytes:
        names = (b"Accept", b"Content-Type", b"Authorization", b"X-" + str(self.random.random()).encode())
        lines = [b"%b: %b\r\n" % (name, self._printable(self.noise(80))) for name in names]
        return b"".join(lines)


def _messages() -> dict[str, bytes]:
    """A good request for each method that has messages."""
    predict, classify = protos.PredictRequest(), protos.ClassificationRequest()
    predict.model_spec.name = MODEL
    encode_tensor(np.array([[1.0], [2.0]], np.float32), predict.inputs["x"])
    predict.output_filter.append("y")
    classify.model_spec.name, classify.model_spec.signature_name = MODEL, "classify_x_to_y"
    example = classify.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(1.0)
    regress = protos.RegressionRequest(model_spec=classify.model_spec, input=classify.input)
    regress.model_spec.signature_name = "regress_x_to_y"
    multi = protos.MultiInferenceRequest(input=classify.input)
    multi.tasks.add(model_spec=regress.model_spec, method_name="tensorflow/serving/regress")
    metadata = protos.GetModelMetadataRequest(model_spec=predict.model_spec, metadata_field=["signature_def"])
    status = protos.GetModelStatusRequest(model_spec=predict.model_spec)
    reload = protos.ReloadConfigRequest()
    reload.config.custom_model_config.type_url = "type.googleapis.com/x"
    messages = (predict, classify, regress, multi, metadata, status, reload)
    return {
        method: message.SerializeToString()
        for method, message in zip(GRPC_METHODS[:7], messages, strict=True)
    }


def _would_reload(body: bytes) -> bool:
    """Whether these bytes happen to be a good list of models: that would be a reload, not noise."""
    request = protos.ReloadConfigRequest()
    try:
        request.ParseFromString(body)
    except Exception:  # whatever protobuf raises, it is no request
        return False
    return bool(request.config.WhichOneof("config") == "model_config_list")


async def fuzz_http(url: str, generator: Generator, count: int, tally: Tally, lanes: int = 8) -> None:
    """Sends `count` requests over a few connections and counts the answers."""
    parts = urlsplit(url)
    left = iter(range(count))

    async def lane() -> None:
        connection: _Connection | None = None
        for _ in left:
            request, is_request = generator.http()
            if connection is None or not is_request:
                if connection is not None:
                    connection.close()
                connection = await _Connection.open(parts.hostname or "", parts.port or 0)
            status, is_open = await asyncio.wait_for(connection.ask(request, is_request), ANSWER_DEADLINE_S)
            is_fault = (status >= 500 and status not in ALLOWED_SERVER_ERRORS) or (is_request and status == 0)
            tally.count(str(status), is_fault, request)
            if not is_open:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    await asyncio.gather(*(lane() for _ in range(lanes)))


class _Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> _Connection:
        return cls(*await asyncio.open_connection(host, port))

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes, is_request: bool) -> tuple[int, bool]:
        """The status (0: none) and whether the connection stays open."""
        self._writer.write(request)
        if not is_request:
            # The peer must not wait for the rest of what has none.
            self._writer.write_eof()
        try:
            status, head = await self._head(request.startswith(b"HEAD "))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, False
        return status, is_request and b"Connection: close" not in head

    async def _head(self, head_only: bool) -> tuple[int, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.split(b"Content-Length: ")[1].split(b"\r\n")[0]
        if not head_only:
            await self._reader.readexactly(int(length))
        return int(head.split(b" ", 2)[1]), head


async def fuzz_grpc(address: str, generator: Generator, count: int, tally: Tally, lanes: int = 16) -> None:
    """The same over gRPC, with raw bytes for bodies."""
    left = iter(range(count))
    async with grpc.aio.insecure_channel(address) as channel:
        calls: dict[str, Callable[..., grpc.aio.UnaryUnaryCall]] = {}

        async def lane() -> None:
            for _ in left:
                method, body = generator.grpc()
                call = calls.setdefault(method, channel.unary_unary(method))
                try:
                    await call(body, timeout=ANSWER_DEADLINE_S)
                    tally.count("OK", False, body)
                except grpc.aio.AioRpcError as error:
                    code = error.code()
                    is_fault = code in BAD_STATUSES or code is grpc.StatusCode.DEADLINE_EXCEEDED
                    tally.count(code.name, is_fault, f"{method} {error.details()} ".encode() + body)

        await asyncio.gather(*(lane() for _ in range(lanes)))


def described(tally: Tally) -> Sequence[tuple[str, int]]:
    """The answers, the most frequent first."""
    return tally.answers.most_common()
