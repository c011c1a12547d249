"""What is told to who names something that is not served: the nearest, and nothing that a key hides."""

from __future__ import annotations

import pytest

from jupyter_tfserve.dataplane.auth import Caller
from jupyter_tfserve.dataplane.neighbours import neighbours_hint
from jupyter_tfserve.errors import Code
from jupyter_tfserve.lifecycle.keys import PredictKey, digest_of
from jupyter_tfserve.lifecycle.serving_map import ServedVersion, ServingMap
from jupyter_tfserve.lifecycle.states import LifecycleState, VersionStatus
from jupyter_tfserve.types import ModelSpec, ServableId


def serving(
    *versions: tuple[str, int], labels: dict[str, dict[str, int]] | None = None
) -> ServingMap[object]:
    table: ServingMap[object] = ServingMap()
    for name, number in versions:
        table = table.with_version(ServedVersion(ServableId(name, number), object()))
    return table.with_labels(labels or {})


TABLE = serving(
    ("mnist", 1), ("mnist", 2), ("mnist", 9), ("zebra", 1), ("apple", 1), labels={"mnist": {"stable": 2}}
)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        (ModelSpec("minst"), "The models: mnist, apple, zebra"),
        (ModelSpec("mnist", 3), "The versions that serve: 2, 1, 9"),
        (ModelSpec("mnist", None, "stabel"), "Its labels: stable"),
        (ModelSpec("apple", None, "stable"), "apple has no labels; ask for a version, or for none."),
        (ModelSpec("mnist"), None),
        (ModelSpec("mnist", 9), None),
        (ModelSpec("mnist", None, "stable"), None),
        (ModelSpec(""), None),
    ],
)
def test_nearest_come_first_when_a_name_is_wrong(spec, hint) -> None:
    assert neighbours_hint(TABLE, spec, None) == hint


def test_names_are_few_when_models_are_many() -> None:
    table = serving(*((f"model{n}", 1) for n in range(300)))
    hint = neighbours_hint(table, ModelSpec("x" * 10_000), None)
    assert hint is not None
    assert (hint.count("model"), hint.endswith(", …")) == (6, True)


def test_other_models_are_not_told_when_the_key_is_not_for_them() -> None:
    def caller(*models: str) -> Caller:
        key = PredictKey(id="k", digest=digest_of("k"), models=models, created=0.0)
        return Caller(key, lambda: 0.0)

    assert neighbours_hint(TABLE, ModelSpec("minst"), caller("apple", "minst")) == "The models: apple"
    assert neighbours_hint(TABLE, ModelSpec("minst"), caller("minst")) is None
    assert neighbours_hint(TABLE, ModelSpec("mnist", 3), caller("apple")) is None
    assert neighbours_hint(TABLE, ModelSpec("minst"), caller("*")) == "The models: mnist, apple, zebra"


def test_states_are_told_when_the_name_is_right_and_no_version_serves() -> None:
    known = (
        VersionStatus(2, LifecycleState.LOADING),
        VersionStatus(1, LifecycleState.END, Code.DATA_LOSS, "/secret/path"),
    )
    hint = "No version of late serves: 2 is LOADING, 1 is END (DATA_LOSS). Its status says more: GET /v1/models/late"
    assert neighbours_hint(TABLE, ModelSpec("late"), None, known) == hint
    assert neighbours_hint(TABLE, ModelSpec("late", 1), None, known) == hint
    assert neighbours_hint(TABLE, ModelSpec("mnist", 3), None, known) == "The versions that serve: 2, 1, 9"
    key = PredictKey(id="k", digest=digest_of("k"), models=("apple",), created=0.0)
    assert neighbours_hint(TABLE, ModelSpec("late"), Caller(key, lambda: 0.0), known) is None
