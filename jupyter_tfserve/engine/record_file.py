"""TFRecord files that grow: `PREFIX.tfrecord`, older ones `PREFIX.1.tfrecord` and so on, bounded in all.

Blocking; one thread at a time. What a killed writer left half-written is cut off, so a file can always be read
to its end.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from jupyter_tfserve.codec.tfrecord import encode_record, whole_records_end

MAX_BYTES: Final = 64 * 2**20
MAX_FILES: Final = 8


class RecordFile:
    """Appends records. A file above `max_bytes` is put aside; of `max_files` the oldest is removed."""

    def __init__(self, prefix: str, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._file: int | None = None
        self._end = 0

    def append(self, text: bytes) -> None:
        """Writes one record, whole or not at all; OSError if that can't be."""
        record = encode_record(text)
        file = self._opened(len(record))
        try:
            _write_all(file, record)
        except OSError:
            # Half a record would make the file unreadable from there on.
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._end)
            raise
        self._end += len(record)

    def close(self) -> None:
        """Nothing may follow but another `append`, which opens the file again."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _opened(self, size: int) -> int:
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            self.close()  # somebody took the file away
        if self._file is None:
            self._file = self._open()
        if self._end and self._end + size > self._max_bytes:
            self.close()
            self._rotate()
            self._file = self._open()
        return self._file

    def _open(self) -> int:
        """Requests may hold anything: only this user reads them."""
        path = self._path(0)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(os.dup(file), "rb") as stream:
                self._end = whole_records_end(stream)
            os.ftruncate(file, self._end)
        except OSError:
            os.close(file)
            raise
        return file

    def _rotate(self) -> None:
        self._path(self._max_files - 1).unlink(missing_ok=True)
        for age in reversed(range(self._max_files - 1)):
            with contextlib.suppress(FileNotFoundError):
                self._path(age).replace(self._path(age + 1))

    def _path(self, age: int) -> Path:
        return Path(f"{self._prefix}.{age}.tfrecord" if age else f"{self._prefix}.tfrecord")


def _write_all(file: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(file, rest) :]
