"""Following a log that is written, cut and missing."""

from __future__ import annotations

from jupyter_tfserve.notebook.logs import follow_log, last_lines


def follow(path, count, *steps):
    """What is shown while the steps happen, one per pause; an interrupt ends it."""
    shown, left = [], list(steps)

    def pause(_):
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    follow_log(path, count, shown.append, pause)
    return "".join(shown)


def append(path, content):
    def step():
        with path.open("ab") as stream:
            stream.write(content)

    return step


def test_last_lines_then_new_ones_are_shown_when_followed(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"1\n2\n3\n")
    shown = follow(path, 2, append(path, b"4\n"), append(path, b"5 \xc3"), append(path, b"\xa9\n"))
    assert shown == "2\n3\n4\n5 é\n"


def test_nothing_is_lost_when_the_log_is_cut(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"old\n" * 10)
    shown = follow(path, 1, lambda: path.write_bytes(b""), append(path, b"new\n"))
    assert shown == "old\nnew\n"


def test_log_may_come_later_when_there_is_none(tmp_path):
    path = tmp_path / "log"
    assert last_lines(path, 5) == ""
    assert follow(path, 5, append(path, b"first\n")) == "first\n"


def test_half_a_line_waits_when_it_is_the_last(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"whole\nha")
    assert follow(path, 5, append(path, b"lf\n")) == "whole\nhalf\n"
