"""Which versions a base path holds: upstream's file_system_storage_path_source, made patient.

Names are read by upstream's rule to the letter. On top of it a version counts only when it holds a model
whose files have stopped changing, so a half-copied folder is never loaded. Blocking: call `look` in a thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.policy import All, Specific, VersionPolicy, aspired_versions
from jupyter_tfserve.lifecycle.states import AspiredVersion

log = logging.getLogger(__name__)

MODEL_FILES: Final = ("saved_model.pb", "saved_model.pbtxt", "model.tflite", "export.meta")
"""The last is what TensorFlow wrote before SavedModels: it is loaded so that its error is told."""
SETTLE_S: Final = 1.0
"""How long a version's files must have been quiet."""
# absl's SimpleAtoi<int64>: surrounding ASCII space, one sign, ASCII digits.
_VERSION_NAME: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_INT64: Final = range(-(2**63), 2**63)


def version_of(name: str) -> int | None:
    """The version that a folder's name means, or None: a base-10 int64, as absl reads it."""
    match = _VERSION_NAME.fullmatch(name)
    if match is None:
        return None
    version = int(match[1])
    return version if version in _INT64 else None


def versions_by_name(names: Iterable[str], policy: VersionPolicy) -> dict[int, str]:
    """The name of each version among `names`. Of several names for one version the lexicographically last
    one wins, under `All` the first.
    """
    found: dict[int, str] = {}
    for name in sorted(names, reverse=isinstance(policy, All)):
        version = version_of(name)
        if version is not None:
            found[version] = name
    return found


def holds_model(folder: Path) -> bool:
    """Whether `folder` has the file that makes it a model."""
    return any((folder / name).is_file() for name in MODEL_FILES)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the files of a folder looked like: a digest of names, sizes and times, and the newest time."""

    digest: str
    newest: float


def fingerprint_of(folder: Path) -> Fingerprint:
    """The fingerprint of everything below `folder`; OSError if something vanishes or cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    newest = 0.0
    pending = [folder]
    while pending:
        current = pending.pop()
        # A folder's own time tells of names that came and went.
        entries = [(".", current.stat())]
        with os.scandir(current) as scan:
            for entry in sorted(scan, key=lambda entry: entry.name):
                entries.append((entry.name, _stat(entry)))
                if entry.is_dir(follow_symlinks=False):
                    pending.append(current / entry.name)
        for name, stat in entries:
            line = f"{current.relative_to(folder)}/{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0"
            digest.update(line.encode("utf-8", "surrogateescape"))
            newest = max(newest, stat.st_mtime)
    return Fingerprint(digest.hexdigest(), newest)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)  # a link to nowhere is a file like others


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: the versions to aspire, and those that hold a model but still change."""

    aspired: Mapping[int, AspiredVersion]
    unsettled: frozenset[int] = frozenset()


class _OneLook:
    """What one look learns of the versions that the policy asks about; `inspect` looks at one that is not live."""

    def __init__(
        self,
        live: Mapping[int, AspiredVersion],
        given_up: Mapping[int, str],
        inspect: Callable[[int, Path], tuple[str | None, bool]],
    ) -> None:
        self.fingerprints: dict[int, str] = {}
        self.unsettled: set[int] = set()
        """Those that hold a model whose files still change."""
        self.not_ready: set[int] = set()
        """Those, and the ones that hold no model yet."""
        self.given_up: set[int] = set()
        """Those that were given up with just these files."""
        self._live = live
        self._known_bad = given_up
        self._inspect = inspect

    def is_servable(self, version: int, path: Path) -> bool:
        """Whether the policy may count this version."""
        known = self._live.get(version)
        if known is not None and known.path == path:
            self.fingerprints[version] = known.fingerprint
            return True
        digest, is_settled = self._inspect(version, path)
        if digest is None or not is_settled:
            self.not_ready.add(version)
        if digest is None:
            return False
        self.fingerprints[version] = digest
        if digest == self._known_bad.get(version):
            self.given_up.add(version)
            return False
        if not is_settled:
            self.unsettled.add(version)
        return is_settled


@dataclass(frozen=True, slots=True)
class _Seen:
    digest: str
    since: float


class Source:
    """The versions of one model on disk.

    Remembers between looks what changing folders looked like.
    """

    def __init__(
        self, config: ModelConfig, settle_s: float = SETTLE_S, held: frozenset[int] = frozenset()
    ) -> None:
        self.model = config.name
        self.base_path = config.folder
        self.policy = config.policy
        self.single_version = config.single_version
        self.kept_versions = config.kept_versions | held
        self.settle_s = settle_s
        self._seen: dict[int, _Seen] = {}
        # A look whose caller gave up still runs in its thread when the next one begins.
        self._looking = threading.Lock()

    def look(
        self,
        live: Mapping[int, AspiredVersion],
        now: float,
        wall: float,
        given_up: Mapping[int, str] = MappingProxyType({}),
    ) -> Look:
        """Lists the base path and applies the policy. Blocking.

        A version in `given_up` (its fingerprint) is aspired, so that its end is told, but does not count: the
        policy takes the next one too, until the files are others.
        Versions in `live` stay as they are while their folder is there. `now` is monotonic, `wall` the
        time of file stamps. NOT_FOUND if the base path is missing, FAILED_PRECONDITION if it is unreadable.
        """
        with self._looking:
            return self._look(live, now, wall, given_up)

    def _look(
        self, live: Mapping[int, AspiredVersion], now: float, wall: float, given_up: Mapping[int, str]
    ) -> Look:
        one = _OneLook(live, given_up, lambda version, path: self._inspect(version, path, now, wall))
        found = self._found(live)
        self._seen = {version: seen for version, seen in self._seen.items() if version in found}
        aspired = aspired_versions(self.policy, found, one.is_servable)
        kept = {
            version: path for version, path in found.items() if version in self.kept_versions - aspired.keys()
        }
        aspired |= aspired_versions(All(), kept, one.is_servable)
        unsettled = frozenset(one.unsettled)
        if one.not_ready and not aspired:
            # What is wanted is there but can't be loaded yet: what serves must not leave before it comes.
            return Look({v: known for v, known in live.items() if known.path.exists()}, unsettled)
        aspired |= {version: found[version] for version in one.given_up}
        return Look({v: AspiredVersion(path, one.fingerprints[v]) for v, path in aspired.items()}, unsettled)

    def _found(self, live: Mapping[int, AspiredVersion]) -> dict[int, Path]:
        """Every version's folder by its name alone; a live version keeps its folder among several."""
        if self.single_version is not None:
            self._list(self.base_path)
            return {self.single_version: self.base_path}
        found = self._found_direct()
        if found is None:
            names = versions_by_name(self._list(self.base_path), self.policy)
            found = {version: self.base_path / name for version, name in names.items()}
        for version, known in live.items():
            if version in found and known.path.parent == self.base_path and known.path.exists():
                found[version] = known.path
        return found

    def _found_direct(self) -> dict[int, Path] | None:
        """The specific versions, if each has its plain decimal name: upstream lists nothing then."""
        if not isinstance(self.policy, Specific):
            return None
        wanted = {*self.policy.versions, *self.kept_versions}
        found = {version: self.base_path / str(version) for version in wanted}
        return found if all(path.exists() for path in found.values()) else None

    def _list(self, folder: Path) -> frozenset[str]:
        try:
            return frozenset(os.listdir(folder))
        except OSError as error:
            code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.FAILED_PRECONDITION
            reason = error.strerror or type(error).__name__
            message = f"Could not find base path {folder} for servable {self.model} with error {reason}"
            raise ServingError(code, message) from None

    def _inspect(self, version: int, path: Path, now: float, wall: float) -> tuple[str | None, bool]:
        """The digest of a version's files (None: no model there) and whether they have been quiet."""
        try:
            if not holds_model(path):
                return None, False
            fingerprint = fingerprint_of(path)
        except OSError as error:
            # Files come and go while someone writes; an unreadable folder may become readable.
            log.debug("version %d of %s cannot be read yet: %s", version, self.model, error.strerror)
            return None, False
        seen = self._seen.get(version)
        if seen is None or seen.digest != fingerprint.digest:
            seen = self._seen[version] = _Seen(fingerprint.digest, now)
        is_old = fingerprint.newest <= wall - self.settle_s
        return fingerprint.digest, is_old or now - seen.since >= self.settle_s
