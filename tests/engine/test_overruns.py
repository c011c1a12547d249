"""Which batches a version's owner is told of."""

from __future__ import annotations

from jupyter_tfserve.engine.overruns import overruns_told


def test_history_gets_few_lines_when_every_other_batch_overruns():
    told = {count: line for count in range(10_000) if (line := overruns_told(count, 2 * count)) is not None}
    assert list(told) == [1, 10, 100, 1000]
    assert told[1] == "1 batch was not over before its callers' deadlines, of 2 that the version has run"
    assert told[100].startswith("100 batches were not over before their callers' deadlines, of 200 that")
