"""What a person changed in a model's batching while it is served: values, and the control API's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.options import BatchOptions

MAX_SIGNATURES: Final = 256
MAX_BATCH_SIZE: Final = 2**20
MAX_TIMEOUT_MICROS: Final = 60_000_000
MAX_TARGET_MS: Final = 3_600_000
SIGNATURES: Final = "signatures"


@dataclass(frozen=True, slots=True)
class BatchingSettings:
    """None leaves what the server was started with. Names are those of TensorFlow Serving where it has one."""

    max_batch_size: int | None = None
    batch_timeout_micros: int | None = None
    target_p99_ms: float | None = None
    allowed_batch_sizes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _check_whole("max_batch_size", self.max_batch_size, 1, MAX_BATCH_SIZE)
        _check_whole("batch_timeout_micros", self.batch_timeout_micros, 0, MAX_TIMEOUT_MICROS)
        target = self.target_p99_ms
        if target is not None and (type(target) not in (int, float) or not 0 <= target <= MAX_TARGET_MS):
            raise invalid_argument(
                f"'target_p99_ms' must be milliseconds up to {MAX_TARGET_MS}, 0 for no goal"
            )
        for size in self.allowed_batch_sizes or ():
            _check_whole("allowed_batch_sizes", size, 1, MAX_BATCH_SIZE)
        sizes = list(self.allowed_batch_sizes or ())
        if sizes != sorted(set(sizes)):
            raise invalid_argument("'allowed_batch_sizes' must grow from one to the next")

    def applied(self, options: BatchOptions) -> BatchOptions:
        """The options with these changes. INVALID_ARGUMENT if they do not go together."""
        changes = {name: value for name, value in asdict(self).items() if value is not None}
        if self.target_p99_ms and options.strict:
            raise invalid_argument(
                "'target_p99_ms' has no effect with --enable_batching, which batches by its parameters",
                "Leave it out, or start the server without --enable_batching: then batch sizes are learned.",
            )
        if self.allowed_batch_sizes and self.max_batch_size is None and not options.strict:
            changes["max_batch_size"] = self.allowed_batch_sizes[-1]
        return replace(options, **changes)

    def to_json(self) -> dict[str, Any]:
        """What is changed, by its name."""
        return {name: _json(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ModelBatching:
    """One model's settings, and those of single signatures, which go before them."""

    settings: BatchingSettings = field(default_factory=BatchingSettings)
    signatures: Mapping[str, BatchingSettings] = field(default_factory=dict)

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing differs from what the server was started with."""
        return self == ModelBatching()

    def applied(self, options: BatchOptions) -> tuple[BatchOptions, dict[str, BatchOptions]]:
        """(the model's options, those of the signatures that have their own)."""
        model = self.settings.applied(options)
        return model, {key: settings.applied(model) for key, settings in self.signatures.items()}

    def to_json(self) -> dict[str, Any]:
        """As `batching_from_json` takes it."""
        document = self.settings.to_json()
        if self.signatures:
            document[SIGNATURES] = {key: settings.to_json() for key, settings in self.signatures.items()}
        return document


_NAMES: Final = tuple(each.name for each in fields(BatchingSettings))


def batching_from_json(document: Mapping[str, Any]) -> ModelBatching:
    """The settings that a caller wrote; INVALID_ARGUMENT naming the first that is wrong or unknown."""
    signatures = document.get(SIGNATURES, {})
    if not isinstance(signatures, dict) or not all(isinstance(each, dict) for each in signatures.values()):
        raise invalid_argument(f"'{SIGNATURES}' must be an object of settings by signature")
    if len(signatures) > MAX_SIGNATURES:
        raise invalid_argument(f"At most {MAX_SIGNATURES} signatures may have settings")
    model = _settings({name: value for name, value in document.items() if name != SIGNATURES})
    by_signature = {key: _settings(each) for key, each in signatures.items()}
    return ModelBatching(
        model, {key: each for key, each in by_signature.items() if each != BatchingSettings()}
    )


def _settings(document: Mapping[str, Any]) -> BatchingSettings:
    for name in document:
        if name not in _NAMES:
            raise invalid_argument(f"There is no setting '{name[:100]}': expected {', '.join(_NAMES)}")
    sizes = document.get("allowed_batch_sizes")
    if sizes is None:
        return BatchingSettings(**document)
    if not isinstance(sizes, list):
        raise _not_whole("allowed_batch_sizes", 1, MAX_BATCH_SIZE)
    return BatchingSettings(**{**document, "allowed_batch_sizes": tuple(sizes)})


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    # Not isinstance: True is an int.
    if value is not None and (type(value) is not int or not low <= value <= high):
        raise _not_whole(name, low, high)


def _not_whole(name: str, low: int, high: int) -> ServingError:
    many = "whole numbers" if name == "allowed_batch_sizes" else "a whole number"
    return invalid_argument(f"'{name}' must be {many} from {low} to {high}")


def _json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
