"""ProfilerService with stand-in workers: who is recorded, what comes back, and who is refused."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.dataplane.profiler import MAX_DURATION_MS, ProfilerService
from jupyter_tfserve.dataplane.profiler_messages import (
    ProfileRequest,
    ProfileResponse,
    TerminateRequest,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import ServableId


class StandIn:
    """A worker that records `xspace`, or dies."""

    def __init__(self, name, xspace=b"", lost=False):
        self.servable = ServableId(name, 7)
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.options = None
        self._xspace = xspace
        self._lost = lost

    async def start_profile(self, options):
        self.options = options
        self.started.set()

    async def stop_profile(self):
        self.stopped.set()
        if self._lost:
            raise ServingError(Code.UNAVAILABLE, "worker process died")
        return self._xspace


def profile_request(duration_ms=0, session_id="", **fields):
    request = ProfileRequest(session_id=session_id, **fields)
    request.opts.duration_ms, request.opts.host_tracer_level = duration_ms, 2
    return request.SerializeToString()


async def profile(service, request):
    return ProfileResponse.FromString(await service.handlers()["Profile"](request, None))


async def test_every_worker_is_recorded_when_a_profile_is_asked_for():
    """One that died and one that did nothing are left out; names cannot lead out of the client's folder."""
    workers = [StandIn("../a b", b"one"), StandIn("b", lost=True), StandIn("c"), StandIn("d", b"two")]
    answer = await profile(ProfilerService(lambda: workers), profile_request())
    tools = {tool.name: tool.data for tool in answer.tool_data}
    assert tools == {".._a_b-7.xplane.pb": b"one", "d-7.xplane.pb": b"two"}
    assert not answer.empty_trace
    wanted = {"host_tracer_level": 2, "device_tracer_level": 0, "python_tracer_level": 0}
    assert [worker.options for worker in workers] == [wanted] * 4


async def test_recordings_are_joined_when_the_xspace_is_asked_for():
    workers = [StandIn("a", b"one"), StandIn("b", b"two")]
    answer = await profile(ProfilerService(lambda: workers), profile_request(emit_xspace=True))
    assert answer.xspace == b"onetwo"
    assert not answer.tool_data


async def test_trace_is_empty_when_nothing_was_recorded():
    assert (await profile(ProfilerService(lambda: [StandIn("a")]), profile_request())).empty_trace
    assert (await profile(ProfilerService(list), profile_request())).empty_trace


async def test_profile_ends_when_its_session_is_terminated():
    worker = StandIn("a", b"one")
    service = ProfilerService(lambda: [worker])
    running = asyncio.create_task(profile(service, profile_request(300_000, "mine")))
    await worker.started.wait()
    terminate = service.handlers()["Terminate"]
    await terminate(TerminateRequest(session_id="other").SerializeToString(), None)
    assert not worker.stopped.is_set()
    with pytest.raises(ServingError, match="Another profiler session active") as raised:
        await profile(service, profile_request())
    assert raised.value.code is Code.ALREADY_EXISTS
    await terminate(TerminateRequest(session_id="mine").SerializeToString(), None)
    assert (await running).tool_data[0].data == b"one"
    assert not (await profile(service, profile_request())).empty_trace


async def test_workers_stop_recording_when_the_caller_leaves():
    worker = StandIn("a", b"one")
    running = asyncio.create_task(profile(ProfilerService(lambda: [worker]), profile_request(300_000)))
    await worker.started.wait()
    running.cancel()
    await asyncio.wait_for(worker.stopped.wait(), 10)
    assert running.cancelled()


async def test_profile_is_refused_when_it_is_too_long():
    with pytest.raises(ServingError) as raised:
        await profile(ProfilerService(list), profile_request(MAX_DURATION_MS + 1))
    assert raised.value.code is Code.INVALID_ARGUMENT


async def test_monitor_is_unimplemented_when_it_is_called():
    with pytest.raises(ServingError, match=r"unimplemented\.") as raised:
        await ProfilerService(list).handlers()["Monitor"](b"", None)
    assert raised.value.code is Code.UNIMPLEMENTED
