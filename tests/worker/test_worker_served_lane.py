"""The worker's side of a lane, when its engine is gone."""

from __future__ import annotations

import socket

import pytest

from jupyter_tfserve.worker.main import serve_lane


class NoRunner:
    def run(self, call):
        raise AssertionError(call)


@pytest.mark.fault
def test_lane_ends_when_the_engine_was_killed_before_it_read_an_answer() -> None:
    ours, engine = socket.socketpair()
    with ours:
        ours.sendall(b"an answer")
        engine.close()  # what is left unread resets the other side
        serve_lane(ours, NoRunner())
