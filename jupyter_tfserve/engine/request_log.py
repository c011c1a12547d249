"""Logs sampled requests with their answers, in files that the warm-up can replay.

The loop only decides and hands over; one thread encodes and writes. What it cannot keep up with, or cannot
write, is dropped with one line in the log: a full disk never fails a request.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeAlias

from jupyter_tfserve.batching.task import size_bytes
from jupyter_tfserve.codec.prediction_log import Exchange, SignatureRun, encode_prediction_log
from jupyter_tfserve.codec.protos import LogMetadata
from jupyter_tfserve.engine.record_file import RecordFile
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.request_logging import RequestLogging, fill_sampling

logger = logging.getLogger(__name__)

MAX_PENDING: Final = 1000
MAX_PENDING_BYTES: Final = 64 * 2**20
"""Exchanges, and their tensors' bytes, that may wait for the disk."""

Write: TypeAlias = Callable[[Exchange], None]
Count: TypeAlias = Callable[[str, Code], None]


class RequestLog:
    """The request logs of all models. `count` is told of each logged request, by model and how that ended.

    Models with the same `filename_prefix` share its file.
    """

    def __init__(self, saved_model_tags: Iterable[str], count: Count, open_file: Any = RecordFile) -> None:
        self._tags = tuple(saved_model_tags)
        self._count = count
        self._open_file = open_file
        self._models: dict[str, _ModelLog] = {}
        self._files: dict[str, RecordFile] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="request-log")
        self._pending = self._pending_bytes = 0
        self._warned: set[str] = set()

    def configure(self, models: Iterable[ModelConfig]) -> bool:
        """Logs what these models' configurations say, and nothing else; whether that is anything."""
        logged = {model.name: model.logging for model in models if model.logging is not None}
        kept = {name: log for name, log in self._models.items() if logged.get(name) == log.config}
        self._models = {
            name: kept.get(name) or _ModelLog(name, config, self._offer) for name, config in logged.items()
        }
        used = {config.filename_prefix for config in logged.values()}
        for prefix in self._files.keys() - used:
            self._thread.submit(self._files.pop(prefix).close)
        return bool(self._models)

    def sampled(self, model: str) -> Write | None:
        """Where to write the next exchange with `model`, if it is one of those that are logged."""
        log = self._models.get(model)
        # No secret depends on which requests are picked.
        return log.offer if log is not None and random.random() < log.rate else None  # noqa: S311

    async def close(self) -> None:
        """Returns when what was offered is written and the files are closed."""
        self._models = {}
        for file in self._files.values():
            self._thread.submit(file.close)
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)
        self._thread.shutdown(wait=False)

    def _offer(self, log: _ModelLog, exchange: Exchange) -> None:
        exchange = replace(exchange, runs=tuple(map(_own, exchange.runs)))
        size = size_bytes(exchange.inputs) + sum(size_bytes(run.outputs) for run in exchange.runs)
        if self._pending >= MAX_PENDING or self._pending_bytes + size > MAX_PENDING_BYTES:
            self._failed(log.model, Code.RESOURCE_EXHAUSTED, "the disk is too slow; some are dropped")
            return
        self._pending += 1
        self._pending_bytes += size
        prefix = log.config.filename_prefix
        file = self._files.get(prefix)
        if file is None:
            file = self._files[prefix] = self._open_file(prefix)
        metadata = self._metadata(log.config)
        done = asyncio.get_running_loop().run_in_executor(self._thread, _write, file, exchange, metadata)
        done.add_done_callback(lambda done: self._written(log.model, size, done))

    def _metadata(self, config: RequestLogging) -> Any:
        metadata = LogMetadata(saved_model_tags=self._tags, timestamp_secs=int(time.time()))
        fill_sampling(config, metadata.sampling_config)
        return metadata

    def _written(self, model: str, size: int, done: asyncio.Future[None]) -> None:
        self._pending -= 1
        self._pending_bytes -= size
        error = done.exception()
        if error is None:
            self._count(model, Code.OK)
        elif isinstance(error, ServingError):
            self._failed(model, error.code, error.message)
        elif isinstance(error, OSError):
            self._failed(model, Code.UNAVAILABLE, error.strerror or "the file cannot be written")
        else:
            self._failed(model, Code.INTERNAL, repr(error))

    def _failed(self, model: str, code: Code, reason: str) -> None:
        self._count(model, code)
        if reason not in self._warned:
            self._warned.add(reason)
            logger.warning("Requests of %s are not logged: %s", model, reason)


class _ModelLog:
    """What of one model's requests is logged."""

    def __init__(
        self, model: str, config: RequestLogging, write: Callable[[_ModelLog, Exchange], None]
    ) -> None:
        self.model = model
        self.config = config
        self.rate = config.rate
        self._write = write

    def offer(self, exchange: Exchange) -> None:
        self._write(self, exchange)


def _own(run: SignatureRun) -> SignatureRun:
    """The outputs as arrays of their own: a view would keep its whole batch in memory."""
    outputs: Mapping[str, Any] = {alias: tensor.copy() for alias, tensor in run.outputs.items()}
    return replace(run, outputs=outputs)


def _write(file: RecordFile, exchange: Exchange, metadata: Any) -> None:
    file.append(encode_prediction_log(exchange, metadata))
