"""What the watch announces: the difference of two looks, and what others changed on an engine directly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import pytest
import pytest_asyncio

from jupyter_tfserve.engine.connection import read_connection
from jupyter_tfserve.engine.control_call import ControlCaller
from jupyter_tfserve.extension.events import CHANGE_SCHEMA_ID, Change, Seen, find_changes

CONTROL = "api/engines/default/control"


def engine(state="running", pid=1, models=()):
    return Seen({"state": state, "pid": pid, "reason": None}, {model["name"]: model for model in models})


def model(labels=None, policy=None, **states):
    versions = [
        {"version": int(name[1:]), "state": state, "error_message": "", "pid": 7}
        for name, state in states.items()
    ]
    return {
        "name": "m",
        "base_path": "/m",
        "policy": policy or {},
        "labels": labels or {},
        "versions": versions,
    }


CHANGES = {
    "nothing": (engine(models=[model(v1="AVAILABLE")]), engine(models=[model(v1="AVAILABLE")]), set()),
    "state": (engine(), engine("failed"), {Change("e", "engine", state="failed")}),
    "restart": (engine(pid=1), engine(pid=2), {Change("e", "engine", state="running")}),
    "model": (engine(), engine(models=[model()]), {Change("e", "model", "m")}),
    "no model": (engine(models=[model()]), engine(), {Change("e", "model", "m", state="removed")}),
    "policy": (
        engine(models=[model()]),
        engine(models=[model(policy={"all": {}})]),
        {Change("e", "policy", "m")},
    ),
    "version": (
        engine(models=[model(v1="LOADING")]),
        engine(models=[model(v1="AVAILABLE", v2="START")]),
        {Change("e", "version", "m", 1, state="AVAILABLE"), Change("e", "version", "m", 2, state="START")},
    ),
    "no version": (
        engine(models=[model(v1="END")]),
        engine(models=[model()]),
        {Change("e", "version", "m", 1, state="removed")},
    ),
    "labels": (
        engine(models=[model({"moved": 1, "gone": 1})]),
        engine(models=[model({"moved": 2, "new": 3})]),
        {
            Change("e", "label", "m", 2, 1, "moved"),
            Change("e", "label", "m", None, 1, "gone"),
            Change("e", "label", "m", 3, None, "new"),
        },
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_name_what_differs(name):
    before, after, expected = CHANGES[name]
    assert set(find_changes({"e": before}, {"e": after})) == expected


def test_changes_name_engines_that_come_and_go():
    assert set(find_changes({}, {"e": engine()})) == {Change("e", "engine", state="running")}
    assert set(find_changes({"e": engine()}, {})) == {Change("e", "engine", state="removed")}


@pytest_asyncio.fixture
async def heard(jp_serverapp):
    """Every change event of this test's server, in order."""
    events = []

    async def listen(logger, schema_id, data):
        events.append(data)

    jp_serverapp.event_logger.add_listener(schema_id=CHANGE_SCHEMA_ID, listener=listen)
    # What the server does when its loop runs; the fixture's server has no such moment.
    await jp_serverapp.extension_manager.start_all_extensions()
    return events


async def until_heard(heard, timeout_s=10.0, **wanted):
    deadline = time.monotonic() + timeout_s
    while not any(wanted.items() <= event.items() for event in heard):
        assert time.monotonic() < deadline, f"{wanted} is not among {heard}"
        await asyncio.sleep(0.02)


async def test_event_comes_at_once_when_the_api_changed_something(api, running, heard, jp_root_dir):
    await until_heard(heard, kind="engine", engine="default", state="running")
    response = await api("POST", f"{CONTROL}/open", {"path": ".", "name": "opened"})
    assert response.code == 200
    await until_heard(heard, kind="model", model="opened")


async def test_event_comes_when_somebody_else_changed_the_engine(running, heard, engines):
    connection = read_connection(engines.get("default").launched.supervisor.connection_file)
    caller = ControlCaller()
    body = json.dumps({"name": "direct"}).encode()
    await caller.call(connection, "POST", "/control/open", body)
    caller.close()
    await until_heard(heard, kind="model", model="direct")


@pytest.mark.fault
async def test_event_comes_when_the_engine_is_killed_and_when_it_is_back(running, heard):
    await until_heard(heard, kind="engine", state="running")
    heard.clear()
    os.kill(running["pid"], signal.SIGKILL)
    await until_heard(heard, kind="engine", state="running")
    assert any(event["state"] != "running" for event in heard if event["kind"] == "engine")


async def test_event_comes_when_the_engine_is_stopped(api, running, heard):
    await until_heard(heard, kind="engine", state="running")
    assert (await api("DELETE", "api/engines/default")).code == 200
    await until_heard(heard, kind="engine", state="removed")
