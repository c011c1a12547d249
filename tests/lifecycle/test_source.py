"""What a base path holds: upstream's reading of names, and our patience with files that still change."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific, VersionPolicy
from jupyter_tfserve.lifecycle.source import SETTLE_S, Source, fingerprint_of, version_of, versions_by_name
from jupyter_tfserve.lifecycle.states import AspiredVersion


def source_of(
    model: str,
    base_path: str,
    policy: VersionPolicy,
    single_version: int | None = None,
    settle_s: float = SETTLE_S,
) -> Source:
    return Source(ModelConfig(model, base_path, policy, single_version=single_version), settle_s)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("0", 0),
        ("00000123", 123),
        ("20170111173521", 20170111173521),
        (" 7", 7),
        ("7 ", 7),
        ("\t7\n", 7),
        ("+7", 7),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("9" * 200, None),
        ("tmp-1", None),
        ("1.tmp", None),
        ("2.denied", None),
        ("v3", None),
        ("1_0", None),
        ("- 1", None),
        ("+-1", None),
        ("0x1", None),
        ("1e3", None),
        ("１", None),
        ("١", None),
        ("\xa07", None),
        ("", None),
        ("+", None),
    ],
)
def test_version_of_reads_a_name_as_absl_does(name, version):
    assert version_of(name) == version


@given(st.text(alphabet=" \t+-_.0123456789abc１", max_size=24))
def test_version_of_agrees_with_int_on_ascii_and_refuses_the_rest(name):
    expected = None
    stripped = name.strip(" \t")
    if stripped.isascii() and "_" not in stripped:
        try:
            expected = int(stripped)
        except ValueError:
            expected = None
    if expected is not None and (any(c in stripped[1:] for c in "+- \t") or not -(2**63) <= expected < 2**63):
        expected = None
    assert version_of(name) == expected


@given(st.sets(st.text(alphabet="01 x", min_size=1, max_size=5)), st.sampled_from([Latest(), All()]))
def test_versions_by_name_gives_each_version_exactly_one_of_its_names(names, policy):
    found = versions_by_name(names, policy)
    by_version: dict[int, list[str]] = {}
    for name in names:
        if version_of(name) is not None:
            by_version.setdefault(version_of(name), []).append(name)
    choose = min if isinstance(policy, All) else max
    assert found == {version: choose(candidates) for version, candidates in by_version.items()}


def look(source: Source, live=None, now: float = 0.0, wall: float | None = None):
    return source.look(live or {}, now, time.time() if wall is None else wall)


def versions(source: Source, **arguments) -> list[int]:
    return list(look(source, **arguments).aspired)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Latest(), [30]),
        (Latest(2), [30, 17]),
        (All(), [30, 17, 2]),
        (Specific((17, 2)), [17, 2]),
        (Specific((99,)), []),
        (Specific(()), []),
    ],
)
def test_look_finds_what_the_policy_wants(tmp_path, make_version, policy, expected):
    for name in ("02", "00017", "30", "31.tmp", "tmp-32", "33.denied", "readme"):
        make_version(tmp_path, name)
    source = source_of("m", str(tmp_path), policy)
    found = look(source)
    assert list(found.aspired) == expected
    assert {int(v.path.name) for v in found.aspired.values()} == set(expected)


def test_look_takes_the_plain_decimal_names_when_all_specific_versions_have_one(tmp_path, make_version):
    for name in ("7", "007", " 7"):
        make_version(tmp_path, name)
    assert look(source_of("m", str(tmp_path), Specific((7,)))).aspired[7].path == tmp_path / "7"


@pytest.mark.parametrize(("policy", "name"), [(Latest(), "1"), (All(), "0001")])
def test_look_takes_one_name_when_several_mean_the_same_version(tmp_path, make_version, policy, name):
    for duplicate in ("0001", "001", "1"):
        make_version(tmp_path, duplicate)
    found = look(source_of("m", str(tmp_path), policy)).aspired
    assert [aspired.path.name for aspired in found.values()] == [name]


def test_look_keeps_the_folder_that_is_live_when_another_name_for_it_appears(tmp_path, make_version):
    live = {1: AspiredVersion(make_version(tmp_path, "001"), "a")}
    make_version(tmp_path, "1")
    assert look(source_of("m", str(tmp_path), Latest()), live).aspired == live


@pytest.mark.parametrize("marker", ["saved_model.pb", "saved_model.pbtxt", "model.tflite"])
def test_version_counts_when_it_holds_a_model(tmp_path, make_version, marker):
    folder = make_version(tmp_path, 1)
    (folder / "saved_model.pb").rename(folder / marker)
    os.utime(folder, (1, 1))
    assert versions(source_of("m", str(tmp_path), Latest())) == [1]


def test_version_does_not_count_when_it_is_a_file_or_holds_no_model(tmp_path, make_version):
    make_version(tmp_path, 1)
    (tmp_path / "2").mkdir()
    (tmp_path / "3").write_text("a file")
    (tmp_path / "4" / "saved_model.pb").mkdir(parents=True)
    found = look(source_of("m", str(tmp_path), Latest()))
    assert (list(found.aspired), found.unsettled) == ([1], frozenset())


def test_fresh_version_is_not_aspired_before_its_files_are_quiet(tmp_path, make_version):
    make_version(tmp_path, 1)
    make_version(tmp_path, 2, age_s=0)
    source = source_of("m", str(tmp_path), Latest(), settle_s=1.0)
    first = look(source, now=10.0)
    assert (list(first.aspired), first.unsettled) == ([1], {2})
    early = look(source, now=10.9)
    assert (list(early.aspired), early.unsettled) == ([1], {2})
    settled = look(source, now=11.0)
    assert (list(settled.aspired), settled.unsettled) == ([2], frozenset())


def test_changing_version_starts_its_quiet_time_anew(tmp_path, make_version):
    folder = make_version(tmp_path, 1, age_s=0)
    source = source_of("m", str(tmp_path), Latest())
    assert versions(source, now=10.0) == []
    (folder / "variables").mkdir()
    assert versions(source, now=11.0) == []
    (folder / "variables" / "variables.index").write_bytes(b"x")
    assert versions(source, now=12.0) == []
    assert versions(source, now=12.9) == []
    assert versions(source, now=13.0) == [1]


def test_version_starts_its_quiet_time_anew_when_it_was_gone_meanwhile(tmp_path, make_version):
    folder = make_version(tmp_path, 1, age_s=0)
    source = source_of("m", str(tmp_path), Latest())
    assert versions(source, now=10.0) == []
    folder.rename(tmp_path / "away")
    assert versions(source, now=10.5) == []
    (tmp_path / "away").rename(folder)
    assert versions(source, now=11.0) == []
    assert versions(source, now=12.0) == [1]


def test_quiet_version_needs_no_second_look_when_its_files_are_old(tmp_path, make_version):
    make_version(tmp_path, 1, age_s=1.5)
    assert versions(source_of("m", str(tmp_path), Latest(), settle_s=1.0)) == [1]


def test_version_is_aspired_after_a_second_look_when_its_times_lie_in_the_future(tmp_path, make_version):
    make_version(tmp_path, 1, age_s=-3600)
    source = source_of("m", str(tmp_path), Latest())
    assert versions(source, now=10.0) == []
    assert versions(source, now=11.0) == [1]


def test_live_version_stays_as_it_is_when_its_files_change(tmp_path, make_version):
    folder = make_version(tmp_path, 1)
    source = source_of("m", str(tmp_path), Latest())
    live = look(source).aspired
    (folder / "saved_model.pb").write_bytes(b"something else")
    assert look(source, live).aspired == live


def test_failed_version_has_a_new_fingerprint_when_its_files_changed(tmp_path, make_version):
    make_version(tmp_path, 1)
    source = source_of("m", str(tmp_path), Latest())
    before = look(source).aspired[1]
    make_version(tmp_path, 1, content=b"repaired")
    after = look(source).aspired[1]
    assert after.path == before.path
    assert after.fingerprint != before.fingerprint


def test_live_version_leaves_when_its_folder_is_renamed_or_deleted(tmp_path, make_version):
    make_version(tmp_path, 1)
    folder = make_version(tmp_path, 2)
    source = source_of("m", str(tmp_path), Latest())
    live = dict(look(source).aspired)
    folder.rename(tmp_path / "2.denied")
    assert versions(source, live=live) == [1]
    shutil.rmtree(tmp_path / "1")
    assert versions(source, live=live) == []


def test_live_version_of_another_base_path_is_not_kept(tmp_path, make_version):
    live = {1: AspiredVersion(make_version(tmp_path / "old", 1), "a")}
    here = make_version(tmp_path / "new", 1)
    assert look(source_of("m", str(tmp_path / "new"), Latest()), live).aspired[1].path == here


def test_empty_base_path_aspires_nothing(tmp_path):
    assert look(source_of("m", str(tmp_path), Latest())).aspired == {}


def test_missing_base_path_is_an_error_that_names_it(tmp_path):
    base = tmp_path / "nowhere"
    source = source_of("m", str(base), Latest())
    with pytest.raises(ServingError) as caught:
        look(source)
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.message.startswith(f"Could not find base path {base} for servable m with error ")
    base.mkdir()
    assert look(source).aspired == {}


def test_base_path_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ServingError) as caught:
        look(source_of("m", str(tmp_path / "file"), Latest()))
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_single_version_is_the_base_path_itself(tmp_path, make_version):
    folder = make_version(tmp_path, "exported")
    found = look(source_of("m", str(folder), Latest(), single_version=1)).aspired
    assert {version: aspired.path for version, aspired in found.items()} == {1: folder}


def test_single_version_is_patient_too_and_missing_when_gone(tmp_path, make_version):
    folder = make_version(tmp_path, "exported", age_s=0)
    source = source_of("m", str(folder), Latest(), single_version=1)
    assert look(source).unsettled == {1}
    shutil.rmtree(folder)
    with pytest.raises(ServingError):
        look(source)


def test_links_are_followed_and_a_dangling_one_is_only_a_file(tmp_path, make_version):
    real = make_version(tmp_path / "elsewhere", "real")
    (real / "dangling").symlink_to(tmp_path / "nowhere")
    os.utime(real, (1, 1))
    os.utime(real / "dangling", (1, 1), follow_symlinks=False)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "5").symlink_to(real)
    assert versions(source_of("m", str(tmp_path / "m"), Latest())) == [5]


def test_fingerprint_ends_when_a_folder_links_to_itself(tmp_path, make_version):
    folder = make_version(tmp_path, 1)
    (folder / "loop").symlink_to(folder)
    assert fingerprint_of(folder).digest


@pytest.mark.parametrize("change", ["content", "touch", "add", "remove", "rename"])
def test_fingerprint_differs_when_anything_changed(tmp_path, make_version, change):
    folder = make_version(tmp_path, 1)
    file = folder / "saved_model.pb"
    before = fingerprint_of(folder)
    if change == "content":
        stat = file.stat()
        file.write_bytes(b"longer than before")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "touch":
        os.utime(file)
    elif change == "add":
        (folder / "more").write_bytes(b"")
    elif change == "remove":
        file.unlink()
    else:
        file.rename(folder / "model.tflite")
    assert fingerprint_of(folder).digest != before.digest


def test_half_copied_version_is_never_aspired_while_it_is_copied(tmp_path, make_version):
    """Copies a model one file at a time, with a look after each: nothing before all is there and quiet."""
    names = ["fingerprint.pb", "saved_model.pb", "variables.data-00000-of-00001", "variables.index"]
    source = source_of("m", str(tmp_path), Latest(), settle_s=1.0)
    target: Path = tmp_path / "1"
    target.mkdir()
    now = 0.0
    for name in names:
        (target / name).write_bytes(b"x")
        now += 0.75
        assert versions(source, now=now) == []
    assert versions(source, now=now + 1.0) == [1]


@given(
    order=st.permutations(
        ["saved_model.pb", "fingerprint.pb", "variables.data-00000-of-00001", "variables.index"]
    ),
    pauses=st.lists(st.floats(0, 0.99), min_size=4, max_size=4),
    extra=st.floats(0, 1),
)
def test_half_copied_version_is_never_aspired_whatever_the_order_and_the_pauses(order, pauses, extra):
    with tempfile.TemporaryDirectory() as folder:
        source, target = source_of("m", folder, Latest(), settle_s=1.0), Path(folder) / "1"
        target.mkdir()
        now = 0.0
        for name, pause in zip(order, pauses, strict=True):
            (target / name).write_bytes(b"x")
            assert versions(source, now=now) == []
            assert versions(source, now=now + extra * pause) == []
            now += pause
        assert versions(source, now=now - pauses[-1] + 1.01) == [1]


@pytest.mark.parametrize(
    ("policy", "expected"), [(Latest(), [1, 3]), (Specific((2,)), [1, 2]), (Specific((2, 9)), [1, 2])]
)
def test_labelled_version_stays_whatever_the_policy_says_when_a_person_opened_the_model(
    tmp_path, make_version, policy, expected
):
    for version in (1, 2, 3):
        make_version(tmp_path, version)
    config = ModelConfig("m", str(tmp_path), policy, {"live": 1, "gone": 7}, keeps_labelled=True)
    assert sorted(look(Source(config)).aspired) == expected
    assert 1 not in look(Source(replace(config, keeps_labelled=False))).aspired


@pytest.mark.parametrize("age_s", [None, 0.0])
def test_live_version_stays_while_the_chosen_one_is_half_written(tmp_path, make_version, age_s):
    make_version(tmp_path, 1)
    live = look(source_of("m", str(tmp_path), Latest())).aspired
    if age_s is None:
        (tmp_path / "2").mkdir()
    else:
        make_version(tmp_path, 2, age_s=age_s)
    chosen = source_of("m", str(tmp_path), Specific((2,)))
    assert look(chosen, live).aspired == live
    (tmp_path / "2" / "saved_model.pb").unlink(missing_ok=True)
    make_version(tmp_path, 2)
    assert sorted(look(chosen, live).aspired) == [2]
