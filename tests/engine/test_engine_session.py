"""Session options whole: what flags and files say is how the worker's TensorFlow runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest

ADAPTER = "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig"


@pytest.fixture(scope="module")
def dense(make_saved_models, tmp_path_factory) -> Path:
    """A base path of our own: other tests may add versions to the shared one."""
    base = tmp_path_factory.mktemp("models") / "dense"
    shutil.copytree(make_saved_models("dense784=1") / "dense784" / "1", base / "1")
    return base


def start(start_engine: Any, model: Path, *flags: str) -> Any:
    engine = start_engine(f"--model_base_path={model}", "--model_name=dense", *flags)
    version = engine.wait_version("dense", 1)
    assert version["state"] == "AVAILABLE", version
    return engine


def worker_threads(engine: Any) -> int:
    return psutil.Process(engine.worker_pid("dense", 1)).num_threads()


def run_once(engine: Any) -> list[float]:
    answer = engine.predict("dense", instances=[[0.5] * 784])
    return list(answer["predictions"][0])


def test_session_config_is_used_and_flags_overwrite_its_threads(start_engine, dense, tmp_path) -> None:
    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 90 session_inter_op_thread_pool { num_threads: 60 }")
    engine = start(
        start_engine, dense, f"--tensorflow_session_config_file={file}", "--tensorflow_intra_op_parallelism=1"
    )
    assert sum(run_once(engine)) == pytest.approx(1)
    assert 60 <= worker_threads(engine) < 90


def test_files_threads_are_lost_when_no_flag_gives_any(start_engine, dense, tmp_path) -> None:
    """Upstream's rule: the flags' zero wins."""
    file = tmp_path / "session.config"
    file.write_text("inter_op_parallelism_threads: 90 intra_op_parallelism_threads: 90")
    engine = start(start_engine, dense, f"--tensorflow_session_config_file={file}")
    assert sum(run_once(engine)) == pytest.approx(1)
    assert worker_threads(engine) < 90


def test_platform_config_replaces_the_flags(start_engine, dense, tmp_path) -> None:
    file = tmp_path / "platform.config"
    session = "intra_op_parallelism_threads: 90"
    file.write_text(
        'platform_configs { key: "tensorflow" value { source_adapter_config {'
        f'[{ADAPTER}] {{ legacy_config {{ session_config {{ {session} }} session_target: "x" }} }} }} }} }}'
    )
    engine = start(
        start_engine, dense, f"--platform_config_file={file}", "--saved_model_tags=none", "--enable_batching"
    )
    assert sum(run_once(engine)) == pytest.approx(1)
    assert worker_threads(engine) >= 90
    log = engine.log.read_text()
    assert "--platform_config_file: session_target has no effect here" in log
    assert "--platform_config_file replaces --enable_batching, --saved_model_tags" in log


def has_clusters(dumped: Path) -> bool:
    """Whether TensorFlow's own account of its compilation tells of clusters."""
    return any("_XlaCluster" in file.read_text() for file in dumped.iterdir())


def test_model_is_compiled_when_xla_is_enabled(start_engine, dense, tmp_path, monkeypatch) -> None:
    dumped = tmp_path / "dumped"
    dumped.mkdir()
    monkeypatch.setenv("TF_DUMP_GRAPH_PREFIX", str(dumped))
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug --tf_xla_min_cluster_size=1")
    plain = run_once(start(start_engine, dense))
    assert list(dumped.iterdir())
    assert not has_clusters(dumped)
    engine = start(start_engine, dense, "--xla_cpu_compilation_enabled")
    compiled = run_once(engine)
    events = engine.call("GET", "/control/history?limit=50")["events"]
    assert [e["detail"].split(" run")[0] for e in events if e["kind"] == "warmup"] == ["7 batch sizes"]
    assert compiled == pytest.approx(plain, abs=1e-5)
    assert has_clusters(dumped)
