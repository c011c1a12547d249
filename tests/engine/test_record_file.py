"""Record files: they grow, turn over, and outlive a writer that was killed or a disk that is full."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jupyter_tfserve.codec.tfrecord import encode_record, read_records
from jupyter_tfserve.engine import record_file
from jupyter_tfserve.engine.record_file import RecordFile


@pytest.fixture
def file(tmp_path: Path):
    record = RecordFile(str(tmp_path / "logs" / "m"), max_bytes=100, max_files=3)
    yield record
    record.close()


def content(tmp_path: Path, name: str = "m.tfrecord") -> list[bytes]:
    with (tmp_path / "logs" / name).open("rb") as stream:
        return list(read_records(stream))


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "logs").iterdir())


def test_records_are_readable_as_soon_as_they_are_appended(file, tmp_path) -> None:
    for text in (b"one", b"two"):
        file.append(text)
    assert content(tmp_path) == [b"one", b"two"]


def test_only_this_user_may_read_the_file(file, tmp_path) -> None:
    file.append(b"secret")
    assert stat.S_IMODE((tmp_path / "logs" / "m.tfrecord").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) & 0o077 == 0


def test_full_files_are_put_aside_and_the_oldest_is_removed(file, tmp_path) -> None:
    for number in range(5):
        file.append(bytes([number]) * 80)
    assert names(tmp_path) == ["m.1.tfrecord", "m.2.tfrecord", "m.tfrecord"]
    assert [content(tmp_path, name)[0][0] for name in names(tmp_path)] == [3, 2, 4]


def test_record_larger_than_a_file_has_one_of_its_own(file, tmp_path) -> None:
    file.append(b"x" * 1000)
    file.append(b"y")
    assert content(tmp_path) == [b"y"]
    assert content(tmp_path, "m.1.tfrecord") == [b"x" * 1000]


@pytest.mark.parametrize("cut", [1, 10, 17])
def test_half_record_of_a_killed_writer_is_cut_off(file, tmp_path, cut: int) -> None:
    path = tmp_path / "logs" / "m.tfrecord"
    path.parent.mkdir()
    path.write_bytes(encode_record(b"whole") + encode_record(b"half")[:-cut])
    file.append(b"next")
    assert content(tmp_path) == [b"whole", b"next"]


def test_failed_write_leaves_no_half_record(file, tmp_path, monkeypatch) -> None:
    """A disk that takes some bytes and is full then."""
    file.append(b"before")
    write = os.write

    def full(descriptor: int, text: bytes) -> int:
        if len(text) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, text[:10])

    monkeypatch.setattr(record_file.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"lost" * 4)
    monkeypatch.undo()
    file.append(b"after")
    assert content(tmp_path) == [b"before", b"after"]


def test_new_file_is_begun_when_somebody_took_the_old_one(file, tmp_path) -> None:
    file.append(b"one")
    (tmp_path / "logs" / "m.tfrecord").unlink()
    file.append(b"two")
    assert content(tmp_path) == [b"two"]
