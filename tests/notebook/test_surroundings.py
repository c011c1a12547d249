"""Facts about the host: real ports, files and processes, made-up cgroups and GPUs."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from jupyter_tfserve.engine.connection import Connection, write_connection
from jupyter_tfserve.notebook.surroundings import (
    GpuProcess,
    gpu_processes,
    installed,
    look_around,
    parse_gpu_processes,
    port_holders,
    port_of,
    stale_files,
)
from jupyter_tfserve.worker.cpus import schedulable_cpus


def test_holder_of_a_port_is_named_when_it_is_ours():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"process {os.getpid()}" in port_holders([port])[port]
    assert port_holders([port]) == {}


def test_gpu_processes_are_read_when_nvidia_smi_lists_them():
    text = "123, 40536\n77, [N/A]\n\nNo running processes found\n9, 4\n"
    assert parse_gpu_processes(text) == (GpuProcess(123, 40536), GpuProcess(9, 4))


@pytest.mark.parametrize(
    ("script", "expected"), [("echo '5, 100'", (GpuProcess(5, 100),)), ("exit 9", None), (None, None)]
)
def test_gpus_are_asked_when_there_is_a_program_for_it(tmp_path, monkeypatch, script, expected):
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_processes() == expected


def test_file_is_stale_when_its_engine_is_gone(tmp_path):
    alive = psutil.Process()

    def connection(pid, create_time):
        return Connection(pid, create_time, "http://h:1", "t", None, None, "1", 1, None, 1)

    write_connection(tmp_path / "tfserve-live.json", connection(alive.pid, alive.create_time()))
    write_connection(tmp_path / "tfserve-dead.json", connection(alive.pid, alive.create_time() - 1000))
    (tmp_path / "tfserve-odd.json").write_text("no connection")
    assert stale_files(tmp_path) == (tmp_path / "tfserve-dead.json",)
    assert (tmp_path / "tfserve-dead.json").exists()


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1:8500", 8500),
        ("http://[::1]:8501", 8501),
        ("http://h:1/", 1),
        (None, None),
        ("unix:x", None),
    ],
)
def test_port_is_read_when_an_address_has_one(address, port):
    assert port_of(address) == port


def test_packages_are_known_when_they_are_installed():
    assert installed()["tensorflow"].startswith("2.")


def test_facts_are_whole_when_nothing_runs(kernel_home):
    facts = look_around(None)
    assert facts.engine is None
    assert facts.cpu_count == schedulable_cpus()
    assert facts.own_pid == os.getpid()
    assert facts.stale_files == ()
    assert {protocol for protocol, _, _ in facts.ports} == {"REST", "gRPC"}
