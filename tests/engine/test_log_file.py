"""An engine's log: bounded while it is written, read for its last reason, removed when it is old."""

from __future__ import annotations

import os

from jupyter_tfserve.engine.log_file import bound_log, last_reason, open_log, remove_old_logs, tail_lines


def test_log_is_cut_while_a_writer_holds_it(tmp_path):
    log = tmp_path / "e.log"
    descriptor = open_log(log)
    try:
        os.write(descriptor, b"x" * 5000 + b"\nlast\n")
        bound_log(log, 1000)
        os.write(descriptor, b"after\n")
    finally:
        os.close(descriptor)
    assert log.read_bytes() == b"after\n"
    kept = tmp_path / "e.log.1"
    assert kept.read_bytes().endswith(b"x\nlast\n")
    assert kept.stat().st_size == 500
    assert kept.stat().st_mode & 0o777 == 0o600


def test_last_reason_prefers_the_named_one_and_bounds_it(tmp_path):
    log = tmp_path / "e.log"
    log.write_text("noise\nFailed to start server. Error: " + "y" * 1000 + "\nlater noise\n")
    assert last_reason(log, 0) == "y" * 500
    assert last_reason(log, 6 + 31 + 1001) == "later noise"
    assert last_reason(tmp_path / "none", 0) is None
    assert tail_lines(log, 1) == ["later noise"]
    assert tail_lines(log, 0) == []


def test_old_logs_are_removed_and_young_ones_kept(tmp_path):
    for name in ("tfserve-a.log", "tfserve-a.log.1", "tfserve-b.log", "tfserve-a.json"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 100 if "-a" in name else 1000))
    remove_old_logs(tmp_path, now=1050, max_age_s=100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tfserve-a.json", "tfserve-b.log"]
