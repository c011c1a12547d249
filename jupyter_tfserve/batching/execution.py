"""How one batch is run on one lane: merged, compared with single runs while a signature is new, or each alone.

By default a model is never trusted to have independent rows before it has shown it, and a batch that fails is run
again one by one. With `strict` the batch keeps TensorFlow Serving's rules (`rules`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from jupyter_tfserve.batching.assemble import agree, merge, split
from jupyter_tfserve.batching.lane import BatchLane, BatchObserver
from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.rules import BatchFault, align, check_outputs
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensor, Tensors

logger = logging.getLogger(__name__)

VERIFIED_BATCHES: Final = 2
"""So many of a signature's first batches are compared with single runs."""
VERIFIED_TASKS: Final = 8
"""They are of so many tasks at most: single runs of a whole batch would hold up everybody behind it."""


def _goes_on() -> None:
    """The lane has more of the same batch to run."""


class BatchExecution:
    """Runs batches and answers their tasks; counts what was run.

    `tensor_name` gives an input's own name by (signature, alias), for strict batching's errors. `on_overrun` is called
    after a run that was not over when the last of its callers' time was, whether the model was ended or not.
    """

    def __init__(
        self,
        options: BatchOptions,
        clock: Callable[[], float],
        observer: BatchObserver | None,
        tensor_name: Callable[[str, str], str],
        planner: BatchPlanner,
        on_overrun: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._planner = planner
        self._clock = clock
        self._observer = observer
        self._tensor_name = tensor_name
        self._on_overrun = on_overrun
        self._to_verify: dict[tuple[str, tuple[str, ...]], int] = {}
        self.batches = self.tasks = self.rows = self.padding_rows = self.overruns = 0

    def is_unmergeable(self, task: BatchTask) -> bool:
        """Whether a batch of the task's signature and outputs has told that its rows are not independent."""
        return self._to_verify.get((task.signature, task.outputs), 0) < 0

    def is_proven(self, signature: str, outputs: tuple[str, ...]) -> bool:
        """Whether batches of that signature and outputs have shown that its rows are independent."""
        return self._to_verify.get((signature, outputs)) == 0

    def configure(self, options: BatchOptions) -> None:
        """Other options from now on; what was proven stays true."""
        self._options = options

    async def run(self, lane: BatchLane, batch: list[BatchTask], computed: Callable[[], None]) -> None:
        """Answers every task of the batch that somebody still waits for. `LaneGone` when the lane broke.

        `computed` is called before anybody is answered, if the lane has nothing more to do for the batch.
        """
        if len(batch) == 1:
            await self._run_alone(lane, batch[0], computed)
            return
        while len(batch) > VERIFIED_TASKS and self._left_to_verify(batch[0]) > 0:
            await self._run_merged(lane, batch[:VERIFIED_TASKS], _goes_on)
            batch = batch[VERIFIED_TASKS:]
        if self.is_unmergeable(batch[0]):
            await self._run_each(lane, batch)
        else:
            await self._run_merged(lane, batch, computed)

    def _left_to_verify(self, task: BatchTask) -> int:
        return self._to_verify.setdefault(
            (task.signature, task.outputs), VERIFIED_BATCHES if self._options.verify else 0
        )

    async def _run_merged(
        self, lane: BatchLane, batch: list[BatchTask], computed: Callable[[], None]
    ) -> None:
        first = batch[0]
        verify_key = (first.signature, first.outputs)
        left = self._left_to_verify(first)
        try:
            outputs, rows = await self._execute(lane, batch)
        except BatchFault as fault:
            for task in batch:
                _fail(task, fault)
            return None
        except ServingError as error:
            self._note_failure(error)
            # One bad row fails only its own caller, and with its own error text.
            return await self._run_each(lane, batch)
        answers = split(outputs, batch, rows)
        if answers is None:
            self._to_verify[verify_key] = -1
            return await self._run_each(lane, batch)
        if left:
            return await self._verify(lane, batch, answers, verify_key)
        computed()
        for task, answer in zip(batch, answers, strict=True):
            _answer(task, answer)
        return None

    async def _verify(
        self,
        lane: BatchLane,
        batch: list[BatchTask],
        answers: list[Tensors],
        key: tuple[str, tuple[str, ...]],
    ) -> None:
        """Answers from single runs; a batch that told otherwise is the signature's last one."""
        singles = [await self._run_alone(lane, task) for task in batch]
        pairs = [(one, other) for one, other in zip(singles, answers, strict=True) if one is not None]
        if all(agree(one, other) for one, other in pairs):
            self._to_verify[key] -= 1 if self._to_verify[key] > 0 else 0
        else:
            self._to_verify[key] = -1

    async def _run_each(self, lane: BatchLane, batch: list[BatchTask]) -> None:
        for task in batch:
            await self._run_alone(lane, task)

    async def _run_alone(
        self, lane: BatchLane, task: BatchTask, computed: Callable[[], None] = _goes_on
    ) -> Tensors | None:
        if task.future.done():
            return None
        try:
            outputs, rows = await self._execute(lane, [task])
        except ServingError as error:
            self._note_failure(error)
            computed()
            _fail(task, error)
            return None
        computed()
        answers = split(outputs, [task], rows) if rows > max(task.rows, 1) else None
        answer = outputs if answers is None else answers[0]
        _answer(task, answer)
        return answer

    async def _execute(self, lane: BatchLane, batch: list[BatchTask]) -> tuple[Tensors, int]:
        first = batch[0]
        rows = first.rows if len(batch) == 1 else sum([task.rows for task in batch])
        options = self._planner.options(first.signature)
        padded = self._planner.padded(first.signature, rows) if rows else 0
        if (
            padded > rows
            and not options.allowed_batch_sizes
            and not self.is_proven(first.signature, first.outputs)
        ):
            # Nobody asked for this: a model that looks at all rows must not see some that nobody sent.
            padded = rows
        self.batches += 1
        self.tasks += len(batch)
        self.rows += rows
        self.padding_rows += padded - rows
        if rows and self._observer is not None:
            self._observer.ran(rows, padded)
        timeout_s = self._remaining(batch)
        watched = [task for task in batch if task.watch is not None]
        if watched:
            _note_queue(watched, self._clock())
        if not options.strict:
            inputs = merge(batch, padded)
            began = self._clock()
            outputs = await lane.run_batch(first.signature, inputs, first.outputs, timeout_s)
            took_s = self._clock() - began
            if timeout_s is not None and took_s > timeout_s:
                self._overran()
            if rows:
                self._planner.learn(first.signature, padded, took_s)
            else:
                self._planner.learn_alone(first.signature, took_s)
            if watched:
                _note_compute(watched, lane)
            return outputs, padded

        def aligned(alias: str, parts: list[Tensor]) -> list[Tensor]:
            name = self._tensor_name(first.signature, alias)
            return align(name, parts, options.pad_variable_length_inputs)

        inputs = merge(batch, padded, aligned)
        began = self._clock()
        outputs = await lane.run_batch(first.signature, inputs, first.outputs, timeout_s)
        if timeout_s is not None and self._clock() - began > timeout_s:
            self._overran()
        _note_compute(watched, lane)
        check_outputs(outputs, next(iter(inputs.values())).shape[0])
        return outputs, padded

    def _note_failure(self, error: ServingError) -> None:
        # What TensorFlow says of a run that it has ended: no caller had time left.
        if error.code is Code.DEADLINE_EXCEEDED:
            self._overran()

    def _overran(self) -> None:
        self.overruns += 1
        self._on_overrun()

    def _remaining(self, batch: list[BatchTask]) -> float | None:
        """The longest time that any caller of the batch still has."""
        latest = 0.0
        for task in batch:
            if task.deadline is None:
                return None
            latest = max(latest, task.deadline)
        return max(latest - self._clock(), 0.001)


def _note_queue(watched: list[BatchTask], now: float) -> None:
    for task in watched:
        if task.watch is not None and not task.watch.compute_s:
            task.watch.queue_s = now - task.enqueued


def _note_compute(watched: list[BatchTask], lane: BatchLane) -> None:
    for task in watched:
        if task.watch is not None:
            # A sum: a large request runs in pieces, and a batch that is verified runs each of its rows again.
            task.watch.compute_s += lane.compute_s


def _answer(task: BatchTask, outputs: Tensors) -> None:
    if not task.future.done():
        try:
            task.future.set_result(outputs)
        except Exception:
            # The request edge: who cannot take an answer costs the batch mates nothing.
            logger.exception("An answer could not be told")


def _fail(task: BatchTask, error: ServingError) -> None:
    if not task.future.done():
        task.future.set_exception(error)
