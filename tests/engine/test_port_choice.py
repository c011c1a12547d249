"""Two notebooks start at once: both see the default ports free, and one of them is quicker."""

from __future__ import annotations

import socket

import pytest

from jupyter_tfserve.engine import launch
from jupyter_tfserve.errors import Code, ServingError

IN_USE = ServingError(Code.FAILED_PRECONDITION, "UNAVAILABLE: gRPC port 8500 is already in use")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


@pytest.fixture
def default_ports(monkeypatch):
    """Free ports in place of 8501 and 8500."""
    with socket.create_server(("127.0.0.1", 0)) as rest, socket.create_server(("127.0.0.1", 0)) as grpc:
        ports = rest.getsockname()[1], grpc.getsockname()[1]
    monkeypatch.setattr(launch, "DEFAULT_REST_PORT", ports[0])
    monkeypatch.setattr(launch, "DEFAULT_GRPC_PORT", ports[1])
    return ports


@pytest.mark.slow
async def test_engine_gets_a_free_port_when_another_took_the_chosen_one_meanwhile(home, default_ports):
    launched = await launch.prepare_engine(home)
    assert launched.notes == ()
    try:
        with socket.create_server(("127.0.0.1", default_ports[1])):
            connection = await launched.supervisor.start()
        assert connection.rest_url == f"http://127.0.0.1:{default_ports[0]}"
        assert connection.grpc_address != f"127.0.0.1:{default_ports[1]}"
        assert launched.notes == (
            f"port {default_ports[1]} is taken by another program; gRPC got a free port",
        )
        with pytest.raises(ServingError, match=f"port {default_ports[0]} is taken by the engine 'default'"):
            launch.choose_ports(launch.LaunchOptions(rest_port=default_ports[0]))
    finally:
        await launched.supervisor.stop()
        launched.close()


def test_ports_are_chosen_again_only_for_a_port_and_not_for_ever(default_ports):
    choice = launch.PortChoice(launch.LaunchOptions())
    assert not choice.again(ServingError(Code.FAILED_PRECONDITION, "No such flag"))
    assert sum(choice.again(IN_USE) for _ in range(100)) == launch.MAX_CHOICES


def test_port_that_the_user_named_is_not_replaced(default_ports):
    choice = launch.PortChoice(launch.LaunchOptions(grpc_port=default_ports[1]))
    with socket.create_server(("127.0.0.1", default_ports[1])):
        assert not choice.again(IN_USE)
    assert choice.ports.grpc_port == default_ports[1]
