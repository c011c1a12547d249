"""What fits, what the system's files say, and a limit that a real worker keeps."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker import memory
from jupyter_tfserve.worker.frame import Call

ID = ServableId("m", 1)


@pytest.fixture
def cgroups(monkeypatch, tmp_path):
    """`cgroups(own, {file: text})`: this process is in the groups that `own` says."""

    def make(own, files):
        monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
        monkeypatch.setattr(memory, "_VMSTAT", tmp_path / "vmstat")
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


V1 = {
    "memory/a/memory.limit_in_bytes": "1000\n",
    "memory/a/memory.usage_in_bytes": "700\n",
    "memory/a/memory.stat": "cache 5\ntotal_inactive_file 50\n",
    "memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
}
V2 = {
    "memory.current": "900\n",
    "memory.max": "1000\n",
    "a/memory.max": "max\n",
    "a/memory.current": "700\n",
    "a/memory.stat": "anon 5\ninactive_file 50\n",
    "a/memory.events": "low 0\noom 4\noom_kill 3\n",
}


@pytest.mark.parametrize(("own", "files", "left"), [("4:memory:/a\n0::/\n", V1, 350), ("0::/a\n", V2, 100)])
def test_memory_left_is_the_groups_when_that_is_limited(cgroups, own, files, left):
    cgroups(own, files)
    assert memory.available_bytes() == left
    assert memory.oom_kills() == 3


def test_memory_left_is_the_machines_when_no_group_can_be_read(cgroups):
    folder = cgroups("0::/gone\n", {})
    assert memory.available_bytes() > 2**20
    assert memory.oom_kills() is None
    (folder / "vmstat").write_text("nr_free_pages 7\noom_kill 2\n")
    assert memory.oom_kills() == 2


def test_model_is_refused_when_its_files_do_not_fit(monkeypatch, tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "weights").write_bytes(b"x" * 1000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1500)
    memory.check_fits(ID, tmp_path, 1.2)
    memory.check_fits(ID, tmp_path, 0)
    with pytest.raises(ServingError) as raised:
        memory.check_fits(ID, tmp_path, 2)
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    assert "takes about 0.00 GiB of memory (2 times its files), and 0.00 GiB are left" in raised.value.message
    assert "--memory_estimate_factor=0" in raised.value.message


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
async def test_call_fails_and_the_worker_lives_when_a_model_takes_more_than_its_limit(make_pool, spawn):
    """F9, `oom_run`: without the limit this answer takes 1.2 GB."""
    worker = await spawn("wide_answer", pool=await make_pool(max_worker_memory_mb=512))
    with pytest.raises(ServingError) as raised:
        await worker.lanes[0].run(Call("", {"count": np.array(300_000_000, "i4")}))
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    result = await worker.lanes[0].run(Call("", {"count": np.array(3, "i4")}))
    assert result.outputs["y"].tolist() == [1, 1, 1]
