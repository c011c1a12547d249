"""Allowances: spent at once, given back with time."""

from __future__ import annotations

from jupyter_tfserve.dataplane.http2.allowance import Allowance


def test_allowance_is_given_back_with_time():
    now = 0.0
    allowance = Allowance(3, 2.0, lambda: now)
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [allowance.spend() for _ in range(3)] == [True, True, False]
    now = 100.0
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]


def test_allowance_is_given_back_when_it_was_overdrawn():
    now = 0.0
    allowance = Allowance(3, 2.0, lambda: now)
    assert [allowance.overdraw() for _ in range(5)] == [False, False, False, True, True]
    assert allowance.overdrawn_s() == 1.0
    now = 0.75
    assert allowance.overdrawn_s() == 0.5
    now = 1.0
    assert allowance.overdrawn_s() == 0.0
    now = 100.0
    assert [allowance.overdraw() for _ in range(5)] == [False, False, False, False, True]
