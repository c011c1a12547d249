"""One request as it goes to one server, and what its answer must say; asked once before anything is timed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import numpy as np

JSON_HEADERS = {"Content-Type": "application/json"}
TOLERANCE = 1e-3
FRAME_BYTES = 5


class WrongAnswer(Exception):
    """A server answered, but not what the model says."""


@dataclass(frozen=True, slots=True)
class Call:
    """`read` turns the answer's body into the model's output; None: any answer is right. `grpc`: it is a message.

    `answer_bytes` is how long a right answer was, as HTTP carries it; 0: not known.
    """

    url: str
    body: bytes
    read: Callable[[bytes], Any] | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    grpc: bool = False
    answer_bytes: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The URL's path, for gRPC the method's name."""
        return urlsplit(self.url).path

    @property
    def framed(self) -> bytes:
        """The body as HTTP carries it."""
        return struct.pack(">BI", 0, len(self.body)) + self.body if self.grpc else self.body

    def answered(self, body: bytes) -> Call:
        """The same, which knows how long its answer is."""
        return replace(self, answer_bytes=len(body) + (FRAME_BYTES if self.grpc else 0))


def ask(call: Call, timeout_s: float = 60) -> bytes:
    """The answer's body; raises what the client library raises."""
    if call.grpc:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(call.address, options=options) as channel:
            answer = channel.unary_unary(call.path)(call.body, timeout=timeout_s)
            return bytes(answer)
    answer = httpx.post(
        call.url, content=call.body, headers=dict(call.headers), timeout=timeout_s, trust_env=False
    )
    if answer.status_code != 200:
        raise WrongAnswer(f"HTTP {answer.status_code}: {answer.text[:300]}")
    return answer.content


def check(call: Call, expected: Any) -> bytes:
    """The answer's body; WrongAnswer if it does not say what the model does."""
    body = ask(call)
    if call.read is not None and not is_same(call.read(body), expected):
        raise WrongAnswer(f"{body[:120]!r} is not {str(expected)[:120]}")
    return body


def is_same(given: Any, expected: Any) -> bool:
    """Whether two outputs agree: texts exactly, numbers but for rounding, shapes but for those of size one."""
    one, other = np.asarray(given), np.asarray(expected)
    if one.size != other.size:
        return False
    if other.dtype.kind in "US":
        return bool((one.ravel() == other.ravel()).all())
    return bool(np.allclose(one.ravel(), other.ravel(), rtol=TOLERANCE, atol=TOLERANCE))


def rest_predict(base_url: str, model: str, row: Any) -> Call:
    """TensorFlow Serving's REST call for one row."""
    body = json.dumps({"instances": [row]}).encode()
    url = f"{base_url}/v1/models/{model}:predict"
    return Call(url, body, lambda answer: json.loads(answer)["predictions"])
