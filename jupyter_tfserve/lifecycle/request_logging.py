"""What of a model's requests is logged, and where: LoggingConfig as a value, and its message.

TensorFlow Serving's own binary refuses a `logging_config`, since it has no log collector; this server has one,
`tfrecord`. Pure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument, not_found

TFRECORD: Final = "tfrecord"


@dataclass(frozen=True, slots=True)
class TaskSampling:
    """Another rate for some tasks of a fleet; an empty `dc` and a `task_index` of None mean any."""

    dc: str
    task_index: int | None
    sampling_rate: float


@dataclass(frozen=True, slots=True)
class RequestLogging:
    """One model's request log. `attributes` are kept for whoever reads the log; they change nothing here."""

    collector_type: str
    filename_prefix: str
    sampling_rate: float
    per_task: tuple[TaskSampling, ...] = ()
    attributes: int = 0

    @property
    def rate(self) -> float:
        """The share of requests that this server logs: it is task 0, in no data centre."""
        for task in self.per_task:
            if not task.dc and task.task_index in (None, 0):
                return task.sampling_rate
        return self.sampling_rate

    def validate(self) -> None:
        """NOT_FOUND with upstream's text for an unknown collector; INVALID_ARGUMENT for impossible values."""
        if self.collector_type != TFRECORD:
            raise not_found(
                f"Cannot find LogCollector::Factory for type: {self.collector_type}",
                f'The type of log collector here is "{TFRECORD}"',
            )
        if not os.path.isabs(self.filename_prefix) or "\0" in self.filename_prefix:
            raise invalid_argument(
                f"Expected an absolute log_collector_config.filename_prefix; got {self.filename_prefix}"
            )
        for rate in (self.sampling_rate, *(task.sampling_rate for task in self.per_task)):
            if not 0 <= rate <= 1:
                raise invalid_argument(f"sampling_rate must be between 0 and 1; was {rate:g}")


def logging_from_message(message: Any) -> RequestLogging | None:
    """The request log of a ModelConfig message; None if it has none."""
    if not message.HasField("logging_config"):
        return None
    collector = message.logging_config.log_collector_config
    sampling = message.logging_config.sampling_config
    return RequestLogging(
        collector.type,
        collector.filename_prefix,
        sampling.sampling_rate,
        tuple(_per_task(sampling)),
        sampling.attributes,
    )


def fill_logging(logging: RequestLogging, message: Any) -> None:
    """Sets a LoggingConfig message to it."""
    message.log_collector_config.type = logging.collector_type
    message.log_collector_config.filename_prefix = logging.filename_prefix
    fill_sampling(logging, message.sampling_config)


def fill_sampling(logging: RequestLogging, message: Any) -> None:
    """Sets a SamplingConfig message to its sampling."""
    message.sampling_rate = logging.sampling_rate
    message.attributes = logging.attributes
    for task in logging.per_task:
        entry = message.per_task_sampling_configs.add(dc=task.dc, sampling_rate=task.sampling_rate)
        if task.task_index is not None:
            entry.task_index = task.task_index


def _per_task(sampling: Any) -> Iterator[TaskSampling]:
    for task in sampling.per_task_sampling_configs:
        index = task.task_index if task.HasField("task_index") else None
        yield TaskSampling(task.dc, index, task.sampling_rate)
