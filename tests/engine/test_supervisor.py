"""The supervisor, against real processes: a stand-in for the engine, started, crashed, killed, orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from jupyter_tfserve.engine import launch
from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.engine.supervisor import (
    RestartRule,
    Supervisor,
    SupervisorOptions,
    SupervisorState,
    ThreadedSupervisor,
)
from jupyter_tfserve.errors import Code, ServingError

STAND_IN = Path(__file__).parents[1] / "extension" / "stand_in_engine.py"
FAST = SupervisorOptions(ready_timeout_s=20, stop_timeout_s=5, first_delay_s=0.01, max_delay_s=0.05)


class Bench:
    """Makes supervisors of the stand-in and remembers what they reported."""

    def __init__(self, directory):
        self.directory = directory
        self.statuses = []
        self.commands = []
        self.made = []

    def supervisor(self, *flags, options=FAST, kept=()):
        connection_file = self.directory / "tfserve-t.json"

        def command(last):
            line = [sys.executable, str(STAND_IN), "serve", f"--connection_file={connection_file}", *flags]
            self.commands.append((last, line))
            return line

        made = Supervisor(
            command,
            connection_file,
            self.directory / "tfserve-t.log",
            options,
            kept=kept,
            on_change=self.statuses.append,
        )
        self.made.append(made)
        return made

    def states(self):
        return [status.state for status in self.statuses]


class Recorder:
    """Something that is kept from run to run: how many runs it was given to, and how often it was let go."""

    flag = "kept"

    def __init__(self):
        self.runs = self.let_go_of = 0

    def end_for_engine(self):
        self.runs += 1
        ours, theirs = socket.socketpair()
        ours.close()
        return theirs

    def let_go(self):
        self.let_go_of += 1


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    for supervisor in bench.made:
        await supervisor.stop()


async def until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_start_returns_the_connection_when_the_engine_answers(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    connection = await supervisor.start()
    assert connection == read_connection(supervisor.connection_file)
    assert connection.owner_pid == os.getpid()
    status = supervisor.status()
    assert (status.state, status.pid, status.reason) == (SupervisorState.RUNNING, connection.pid, None)
    assert bench.states() == [SupervisorState.STARTING, SupervisorState.RUNNING]


async def test_start_runs_one_engine_when_called_many_times(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    first, *others = await asyncio.gather(*(supervisor.start() for _ in range(5)))
    assert others == [first] * 4
    assert await supervisor.start() == first
    assert len(bench.commands) == 1


async def test_stop_leaves_no_process_and_no_file(bench):
    kept = Recorder()
    supervisor = bench.supervisor("--exit_with_parent", kept=[kept])
    connection = await supervisor.start()
    await supervisor.stop()
    assert is_gone(connection.pid)
    assert not supervisor.connection_file.exists()
    assert supervisor.status().state is SupervisorState.STOPPED
    assert kept.let_go_of == 1
    await supervisor.stop()


async def test_stop_kills_when_the_engine_obeys_nothing(bench):
    options = SupervisorOptions(stop_timeout_s=0.1)
    supervisor = bench.supervisor("--stubborn", options=options)
    connection = await supervisor.start()
    await supervisor.stop()
    assert is_gone(connection.pid)
    assert not supervisor.connection_file.exists()


async def test_stop_ends_a_start_under_way(bench):
    supervisor = bench.supervisor("--silent", "--exit_with_parent")
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: supervisor.status().state is SupervisorState.STARTING and supervisor._process)
    pid = supervisor._process.pid
    await supervisor.stop()
    with pytest.raises(ServingError) as caught:
        await starting
    assert caught.value.code is Code.CANCELLED
    assert is_gone(pid)


async def test_cancelled_start_leaves_the_start_to_others(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: supervisor.status().state is SupervisorState.STARTING)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (await supervisor.start()).pid == supervisor.status().pid
    assert len(bench.commands) == 1


async def test_first_start_fails_with_the_engines_reason_and_is_not_retried(bench):
    supervisor = bench.supervisor("--fail=port 8501 is taken")
    with pytest.raises(ServingError, match="port 8501 is taken") as caught:
        await supervisor.start()
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert caught.value.message == "port 8501 is taken"
    assert supervisor.status().state is SupervisorState.FAILED
    assert supervisor.status().reason == "port 8501 is taken"
    assert len(bench.commands) == 1


async def test_start_tries_again_after_a_failure_when_asked(bench):
    supervisor = bench.supervisor("--fail=no")
    for tries in (1, 2):
        with pytest.raises(ServingError, match="no"):
            await supervisor.start()
        assert len(bench.commands) == tries


async def test_start_names_the_last_run_only_when_an_old_log_holds_other_reasons(bench):
    log = bench.directory / "tfserve-t.log"
    log.write_text("Failed to start server. Error: an old story\n")
    with pytest.raises(ServingError, match="the new one"):
        await bench.supervisor("--fail=the new one").start()


async def test_start_says_so_when_there_is_no_such_program(tmp_path):
    supervisor = Supervisor(lambda last: [str(tmp_path / "nothing")], tmp_path / "c", tmp_path / "l", FAST)
    with pytest.raises(ServingError, match="No such file") as caught:
        await supervisor.start()
    assert str(tmp_path) not in caught.value.message


async def test_start_times_out_and_leaves_no_process_when_the_engine_never_answers(bench):
    options = SupervisorOptions(ready_timeout_s=0.5, stop_timeout_s=5)
    before = psutil.Process().children()  # other tests' engines may live as long as the session
    supervisor = bench.supervisor("--silent", "--exit_with_parent", options=options)
    with pytest.raises(ServingError) as caught:
        await supervisor.start()
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert psutil.Process().children() == before
    assert supervisor.status().state is SupervisorState.FAILED


async def test_start_ignores_a_connection_file_of_another_process(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    old = await supervisor.start()
    left_behind = supervisor.connection_file.read_bytes()
    await supervisor.stop()
    supervisor.connection_file.write_bytes(left_behind)
    assert (await supervisor.start()).pid != old.pid


@pytest.mark.fault
async def test_engine_comes_back_on_its_ports_when_it_is_killed(bench):
    supervisor = bench.supervisor("--exit_with_parent", "--rest_api_port=4321")
    first = await supervisor.start()
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: supervisor.status().restarts == 1)
    second = await supervisor.start()
    assert second.pid != first.pid
    assert [last for last, _ in bench.commands] == [None, first]
    assert SupervisorState.BACKING_OFF in bench.states()
    backing_off = next(s for s in bench.statuses if s.state is SupervisorState.BACKING_OFF)
    assert backing_off.reason == "the engine was ended by SIGKILL"
    assert supervisor.status().reason is None


@pytest.mark.fault
async def test_supervisor_gives_up_when_the_engine_crashes_again_and_again(bench):
    options, kept = SupervisorOptions(first_delay_s=0.01, max_delay_s=0.02, max_restarts=2), Recorder()
    supervisor = bench.supervisor("--exit_with_parent", options=options, kept=[kept])
    for restarts in (0, 1, 2):
        await until(lambda restarts=restarts: supervisor.status().restarts == restarts)
        connection = await supervisor.start()
        assert (kept.runs, kept.let_go_of) == (restarts + 1, 0)
        os.kill(connection.pid, signal.SIGKILL)
    await until(lambda: supervisor.status().state is SupervisorState.FAILED)
    assert len(bench.commands) == 3
    assert supervisor.status().restarts == 2
    assert not supervisor.connection_file.exists()
    await until(lambda: kept.let_go_of)  # clients are refused instead of waiting for nobody


async def test_engine_stays_stopped_when_it_was_told_to_shut_down_by_another(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    connection = await supervisor.start()
    await supervisor._call(connection, "POST", "/control/shutdown", 5, b"{}")
    await until(lambda: supervisor.status().state is SupervisorState.STOPPED)
    assert len(bench.commands) == 1
    assert (await supervisor.start()).pid != connection.pid


async def test_restart_gives_a_new_process(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    first = await supervisor.start()
    second = await supervisor.restart()
    assert second.pid != first.pid
    assert is_gone(first.pid)


async def test_log_is_private_and_its_tail_can_be_read(bench):
    supervisor = bench.supervisor("--exit_with_parent")
    await supervisor.start()
    assert supervisor.log_path.stat().st_mode & 0o777 == 0o600
    await until(lambda: supervisor.log_tail(5) == ["ready"])


OWNER = textwrap.dedent(
    """
    import asyncio, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from jupyter_tfserve.engine.supervisor import Supervisor, ThreadedSupervisor
    here = Path({here!r})
    line = [sys.executable, {stand_in!r}, "serve", f"--connection_file={{here / 'tfserve-o.json'}}",
            "--exit_with_parent"]
    async def make():
        return Supervisor(lambda last: line, here / "tfserve-o.json", here / "o.log")
    threaded = ThreadedSupervisor(make)
    print(threaded.start().pid, flush=True)
    sys.stdin.read()
    """
)


@pytest.mark.fault
@pytest.mark.parametrize("death", ["exit", "kill"])
async def test_engine_ends_when_its_owner_dies(tmp_path, death):
    code = OWNER.format(here=str(tmp_path), stand_in=str(STAND_IN), tests=str(STAND_IN.parent))
    pipe = asyncio.subprocess.PIPE
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    engine = int(await owner.stdout.readline())
    assert not is_gone(engine)
    if death == "kill":
        owner.kill()
    else:
        owner.stdin.close()
    await owner.wait()
    await until(lambda: is_gone(engine))
    assert not (tmp_path / "tfserve-o.json").exists()


def test_threaded_supervisor_starts_and_stops_from_another_thread(tmp_path):
    connection_file = tmp_path / "tfserve-x.json"
    line = [sys.executable, str(STAND_IN), f"--connection_file={connection_file}", "--exit_with_parent"]

    async def make():
        return Supervisor(lambda last: line, connection_file, tmp_path / "x.log")

    threaded = ThreadedSupervisor(make)
    pid = threaded.start().pid
    assert threaded.start().pid == pid
    assert threaded.status().state is SupervisorState.RUNNING
    threaded.stop()
    assert is_gone(pid)
    threaded.close()
    threaded.close()
    assert "tfserve-supervisor" not in [thread.name for thread in threading.enumerate()]


def test_restart_rule_starts_at_once_then_doubles_its_delay_up_to_the_cap_and_then_gives_up():
    rule = RestartRule(
        SupervisorOptions(first_delay_s=1, max_delay_s=5, max_restarts=5, restart_window_s=100)
    )
    assert [rule.next_delay(float(now)) for now in range(6)] == [0, 1, 2, 4, 5, None]


def test_restart_rule_forgets_crashes_that_lie_before_the_window():
    rule = RestartRule(SupervisorOptions(first_delay_s=1, max_restarts=2, restart_window_s=100))
    assert [rule.next_delay(now) for now in (0.0, 1.0, 2.0)] == [0, 1, None]
    assert rule.next_delay(100.5) == 1
    assert rule.next_delay(500.0) == 0


def test_restarts_stay_below_nine_in_five_minutes_by_default():
    rule = RestartRule(SupervisorOptions())
    now, restarts = 0.0, 0
    while now < 300 and (delay := rule.next_delay(now)) is not None:
        restarts += 1
        now += delay
    assert restarts <= 8


async def test_ports_of_a_connection_are_those_that_it_had(bench):
    connection = await bench.supervisor("--rest_api_port=4321", "--port=4320", "--exit_with_parent").start()
    assert launch.ports_of(connection) == launch.Ports(4321, 4320)
