"""The batches of the last minute, of a made-up version whose scheduler says what a test wants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_tfserve.batching.batch_statistics import BatchStatistics
from jupyter_tfserve.batching.planner import LearnedBatching
from jupyter_tfserve.dataplane.traffic import WINDOW_S
from jupyter_tfserve.engine.batch_figures import BatchFigures
from jupyter_tfserve.options import BatchOptions

IDLE = BatchStatistics(
    lanes=2,
    busy_lanes=0,
    waiting_tasks=0,
    waiting_rows=0,
    batches=0,
    tasks=0,
    rows=0,
    padding_rows=0,
    overruns=0,
)


class Version:
    """Has run `batches` with `rows` in all."""

    def __init__(self, options=None, learned=()):
        self.batching = options or BatchOptions()
        self.counts = IDLE
        self.learned = {str(rows): LearnedBatching(rows, {}, False) for rows in learned}

    def ran(self, batches, rows, waiting=0):
        self.counts = replace(
            self.counts,
            batches=self.counts.batches + batches,
            rows=self.counts.rows + rows,
            waiting_tasks=waiting,
        )

    def statistics(self):
        return self.counts

    def learned_batching(self):
        return self.learned


def test_mean_is_of_the_last_minute_when_there_was_more_before():
    figures, version = BatchFigures(), Version(learned=(16, 64))
    version.ran(1000, 1000)
    figures.turn(version)
    assert figures.document(version) == {"rows_per_batch": None, "batch_rows": 64, "waiting": 0}
    version.ran(4, 22, waiting=3)
    figures.turn(version)
    assert figures.document(version) == {"rows_per_batch": 5.5, "batch_rows": 64, "waiting": 3}
    for _ in range(WINDOW_S):
        figures.turn(version)
    assert figures.document(version)["rows_per_batch"] is None


def test_version_is_known_by_what_runs_from_now_on_when_no_second_is_over():
    version = Version()
    version.ran(3, 9)
    assert BatchFigures().document(version)["rows_per_batch"] is None


@pytest.mark.parametrize(
    ("options", "learned", "expected"),
    [
        (BatchOptions(enabled=False), (8,), None),
        (BatchOptions(strict=True, max_batch_size=32), (8,), 32),
        (BatchOptions(), (8,), 8),
        (BatchOptions(), (), None),
    ],
)
def test_most_rows_are_what_the_way_of_batching_allows(options, learned, expected):
    assert BatchFigures().document(Version(options, learned))["batch_rows"] == expected


def test_versions_that_are_gone_are_forgotten():
    figures, version = BatchFigures(), Version()
    figures.turn(version)
    del version
    assert len(figures._marks) == 0
