"""The CPUs of a container, from made-up control groups, and what is decided by them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.worker import cpus
from jupyter_tfserve.worker.cpus import allowed_cpus, cpu_quota, lanes_for, loads_for, usable_cpus

V2 = "0::/jobs/mine\n"
V1 = "5:memory:/jobs/mine\n4:cpu,cpuacct:/jobs/mine\n0::/\n"


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        (V2, {"jobs/mine/cpu.max": "200000 100000\n"}, 2.0),
        (V2, {"jobs/mine/cpu.max": "max 100000\n", "jobs/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"jobs/mine/cpu.max": "400000 100000\n", "jobs/cpu.max": "50000 100000"}, 0.5),
        (V2, {"cpu.max": "300000 100000\n"}, 3.0),
        (V2, {"jobs/mine/cpu.max": "max 100000\n"}, None),
        (V2, {"jobs/mine/cpu.max": "1 0\n"}, None),
        (V2, {"jobs/mine/cpu.max": "nonsense"}, None),
        (
            V1,
            {"cpu/jobs/mine/cpu.cfs_quota_us": "400000\n", "cpu/jobs/mine/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"memory/jobs/mine/cpu.max": "200000 100000\n"}, None),
        ("", {"cpu.max": "300000 100000\n"}, None),
        (V2, {}, None),
    ],
)
def test_quota_is_the_tightest_of_the_own_groups(tmp_path, own, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path, own) == quota


@pytest.mark.parametrize(
    ("schedulable", "quota", "allowed"), [(8, None, 8), (8, 1.5, 2), (8, 0.2, 1), (2, 6.0, 2), (1, None, 1)]
)
def test_allowed_cpus_are_the_quotas_among_the_schedulable(schedulable, quota, allowed):
    assert allowed_cpus(schedulable, quota) == allowed


def test_this_process_may_use_what_its_mask_and_group_say(monkeypatch, tmp_path):
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text("100000 100000")
    monkeypatch.setattr(cpus, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(cpus, "CGROUPS", tmp_path)
    assert usable_cpus() == 1
    (tmp_path / "cpu.max").unlink()
    assert usable_cpus() == len(os.sched_getaffinity(0))


@given(st.integers(1, 1024))
def test_lanes_and_loads_grow_with_the_cpus_within_bounds(count):
    assert 2 <= lanes_for(count) <= lanes_for(count + 1) <= 8
    assert 2 <= loads_for(count) <= loads_for(count + 1) <= 4


def test_lanes_are_two_until_there_are_twelve_cpus():
    assert [lanes_for(count) for count in (1, 2, 8, 11, 12, 16, 64)] == [2, 2, 2, 2, 3, 4, 8]
