"""ProfilerService: TensorBoard's "capture profile" and `tf.profiler.experimental.client.trace` on the gRPC port.

Every worker is recorded at once, each by TensorFlow's own profiler in its process. Unlike TensorFlow's server
this one writes no file where a request says: recordings go back in the answer, and the client saves them, so
it also works from another machine. TensorBoard shows each worker as a host.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from jupyter_tfserve.dataplane.grpc_edge import Handler, parse_message, serialize
from jupyter_tfserve.dataplane.profiler_messages import (
    ProfileRequest,
    ProfileResponse,
    TerminateRequest,
    TerminateResponse,
)
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import ServableId

MAX_DURATION_MS: Final = 600_000
"""A recording grows in the memory of its worker."""

_TRACERS: Final = ("host_tracer_level", "device_tracer_level", "python_tracer_level")
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")


class Profiled(Protocol):
    """A process that can be recorded: `worker.pool.Worker`. Both methods raise ServingError."""

    @property
    def servable(self) -> ServableId:
        """What it serves."""

    async def start_profile(self, options: Mapping[str, int]) -> None:
        """Begins to record."""

    async def stop_profile(self) -> bytes:
        """What was recorded, a serialized XSpace; empty if that is nothing."""


@dataclass(frozen=True, slots=True)
class _Session:
    """The profile that is being taken; setting `ended` ends it before its time."""

    id: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ProfilerService:
    """One profile at a time, of all the processes that `workers()` gives at its start."""

    def __init__(self, workers: Callable[[], Iterable[Profiled]]) -> None:
        self._workers = workers
        self._session: _Session | None = None

    def handlers(self) -> dict[str, Handler]:
        """The service's methods by name."""
        return {"Profile": self._profile, "Terminate": self._terminate, "Monitor": self._monitor}

    async def _profile(self, body: bytes, _context: Any) -> bytes:
        request = parse_message(ProfileRequest, body, "tensorflow.ProfileRequest")
        duration_ms = request.opts.duration_ms or request.duration_ms
        if duration_ms > MAX_DURATION_MS:
            raise invalid_argument(f"A profile may take {MAX_DURATION_MS} ms; {duration_ms} were asked for")
        if self._session is not None:
            raise ServingError(Code.ALREADY_EXISTS, "Another profiler session active.")
        options = {name: getattr(request.opts, name) for name in _TRACERS}
        recorded = await self._record(_Session(request.session_id), options, duration_ms / 1000)
        return serialize(_response(recorded, request.emit_xspace))

    async def _terminate(self, body: bytes, _context: Any) -> bytes:
        request = parse_message(TerminateRequest, body, "tensorflow.TerminateRequest")
        if self._session is not None and self._session.id == request.session_id:
            self._session.ended.set()
        return serialize(TerminateResponse())

    async def _monitor(self, _body: bytes, _context: Any) -> bytes:
        raise ServingError(Code.UNIMPLEMENTED, "unimplemented.")

    async def _record(
        self, session: _Session, options: Mapping[str, int], duration_s: float
    ) -> dict[str, bytes]:
        """Recordings by the servable's file name. A caller that leaves ends the recording, not its clean-up."""
        recording = asyncio.get_running_loop().create_task(
            _record_all(tuple(self._workers()), options, session.ended, duration_s)
        )
        self._session = session
        recording.add_done_callback(lambda _: self._forget())
        try:
            return await asyncio.shield(recording)
        finally:
            session.ended.set()

    def _forget(self) -> None:
        self._session = None


async def _record_all(
    workers: Iterable[Profiled], options: Mapping[str, int], ended: asyncio.Event, duration_s: float
) -> dict[str, bytes]:
    async def record(worker: Profiled) -> tuple[str, bytes]:
        # A worker that dies, or that is busy with another profile, is missing from this one.
        with contextlib.suppress(ServingError):
            await worker.start_profile(options)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), duration_s)
            return _file_name(worker.servable), await worker.stop_profile()
        return "", b""

    recorded = await asyncio.gather(*(record(worker) for worker in workers))
    return {name: xspace for name, xspace in recorded if xspace}


def _file_name(servable: ServableId) -> str:
    # The client makes a file of it: a model's name must not lead out of its folder.
    return f"{_NOT_IN_FILE_NAMES.sub('_', servable.name)}-{servable.version}.xplane.pb"


def _response(recorded: Mapping[str, bytes], emit_xspace: bool) -> Any:
    response = ProfileResponse(empty_trace=not recorded)
    if emit_xspace:
        # Messages that are joined are merged: the planes of all.
        response.xspace = b"".join(recorded.values())
    else:
        for name, xspace in recorded.items():
            response.tool_data.add(name=name, data=xspace)
    return response
