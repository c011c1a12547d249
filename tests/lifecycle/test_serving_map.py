"""The routing table: the words of each refusal, one table per reader, and no unload under a request."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.serving_map import ServedVersion, ServingMap
from jupyter_tfserve.types import ModelSpec, ServableId


def table(*versions: int, labels: dict[str, int] | None = None) -> ServingMap[str]:
    result: ServingMap[str] = ServingMap()
    for version in versions:
        result = result.with_version(ServedVersion(ServableId("m", version), f"loader {version}"))
    return result if labels is None else result.with_labels({"m": labels})


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        (ModelSpec("m"), 30),
        (ModelSpec("m", version=0), 0),
        (ModelSpec("m", version=7), 7),
        (ModelSpec("m", label="stable"), 7),
    ],
)
def test_lookup_gives_the_version_that_is_meant(spec, version):
    with table(7, 30, 0, labels={"stable": 7}).lookup(spec) as handle:
        assert (handle.id, handle.loader) == (ServableId("m", version), f"loader {version}")


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (ModelSpec(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (ModelSpec("", version=1), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (ModelSpec("", label="x"), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (ModelSpec("x"), Code.NOT_FOUND, "Servable not found for request: Latest(x)"),
        (ModelSpec("x", version=3), Code.NOT_FOUND, "Servable not found for request: Specific(x, 3)"),
        (ModelSpec("m", version=3), Code.NOT_FOUND, "Servable not found for request: Specific(m, 3)"),
        (ModelSpec("m", label="gone"), Code.NOT_FOUND, "Servable not found for request: Specific(m, 9)"),
        (ModelSpec("m", label="no"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: no"),
        (ModelSpec("x", label="no"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: no"),
        (ModelSpec("m", label=""), Code.INVALID_ARGUMENT, "Unrecognized servable version label: "),
    ],
)
def test_lookup_refuses_in_upstream_words_when_nothing_is_meant(spec, code, message):
    with pytest.raises(ServingError) as caught:
        table(7, labels={"gone": 9}).lookup(spec)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_lookup_says_unavailable_when_no_label_map_was_ever_set():
    with pytest.raises(ServingError) as caught:
        table(7).lookup(ModelSpec("m", label="stable"))
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message == "Model labels does not init yet.stable"


def test_latest_is_lower_again_when_the_highest_version_leaves():
    shrunk = table(1, 2).without_version(ServableId("m", 2))
    assert shrunk.lookup(ModelSpec("m")).id.version == 1
    assert shrunk.available("m") == {1}


def test_model_is_forgotten_when_its_last_version_and_label_leave():
    emptied = table(1).without_version(ServableId("m", 1))
    assert emptied.models == {}


def test_labels_stay_when_their_version_leaves():
    left = table(1, labels={"stable": 1}).without_version(ServableId("m", 1))
    assert left.labels("m") == {"stable": 1}


def test_labels_of_all_models_are_replaced_at_once():
    before = table(1, labels={"a": 1}).with_labels({"other": {"b": 2}})
    assert (dict(before.labels("m")), dict(before.labels("other"))) == ({}, {"b": 2})


def test_reader_keeps_its_table_when_a_new_one_is_made():
    before = table(1, labels={"stable": 1})
    before.with_labels({"m": {"stable": 2}})
    before.without_version(ServableId("m", 1))
    with before.lookup(ModelSpec("m", label="stable")) as handle:
        assert handle.id.version == 1


def test_handle_counts_once_when_released_twice():
    served = ServedVersion(ServableId("m", 1), "loader")
    routes = ServingMap().with_version(served)
    first, second = routes.lookup(ModelSpec("m")), routes.lookup(ModelSpec("m"))
    first.release()
    first.release()
    assert served.in_flight == 1
    second.release()
    assert served.in_flight == 0


async def test_drain_returns_only_when_the_last_handle_is_released():
    served = ServedVersion(ServableId("m", 1), "loader")
    routes = ServingMap().with_version(served)
    handles = [routes.lookup(ModelSpec("m")) for _ in range(2)]
    drain = asyncio.create_task(served.drain())
    for handle in handles:
        await asyncio.sleep(0)
        assert not drain.done()
        handle.release()
    await asyncio.wait_for(drain, 5)


async def test_drain_returns_at_once_when_nothing_is_held():
    await asyncio.wait_for(ServedVersion(ServableId("m", 1), "loader").drain(), 5)


async def test_drain_ends_when_it_is_abandoned():
    served = ServedVersion(ServableId("m", 1), "loader")
    handle = ServingMap().with_version(served).lookup(ModelSpec("m"))
    drain = asyncio.create_task(served.drain())
    await asyncio.sleep(0)
    served.abandon()
    await asyncio.wait_for(drain, 5)
    handle.release()  # a late release is harmless
    assert served.in_flight == 0


@given(st.lists(st.tuples(st.sampled_from(["add", "drop", "take", "give"]), st.integers(0, 3)), max_size=60))
def test_every_handle_is_counted_exactly_once_whatever_happens_to_the_table(steps):
    routes: ServingMap[str] = ServingMap()
    everything: list[ServedVersion[str]] = []
    held = []
    for step, number in steps:
        if step == "add" and number not in routes.available("m"):
            everything.append(ServedVersion(ServableId("m", number), "loader"))
            routes = routes.with_version(everything[-1])
        elif step == "drop":
            routes = routes.without_version(ServableId("m", number))
        elif step == "take" and number in routes.available("m"):
            held.append(routes.lookup(ModelSpec("m", version=number)))
        elif step == "give" and held:
            held.pop(number % len(held)).release()
        latest = max(routes.available("m"), default=None)
        entry = routes.models.get("m")
        assert (entry.latest.id.version if entry and entry.latest else None) == latest
        assert sum(served.in_flight for served in everything) == len(held)
    for handle in held:
        handle.release()
    assert all(served.in_flight == 0 for served in everything)
