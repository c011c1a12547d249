"""The REST API's URL grammar: what a verb and a target mean. After http_rest_api_util.cc.

On the data path this is the first step behind HTTP. Pure.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import ModelSpec, parse_version

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""The verbs of TensorFlow Serving's HTTP library; any other is 501."""

# Everything but the inference verb is matched without regard to case, as upstream does it.
_ROOT: Final = r"(?i:/v1/models)"
_NAME: Final = r"/(?P<name>[^/:]+)"
_VERSION: Final = r"(?:(?i:/versions)/(?P<version>[0-9]+)|(?i:/labels)/(?P<label>[^/:]+))?"
_POST: Final = re.compile(_ROOT + _NAME + _VERSION + r":(?P<verb>predict|classify|regress)")
_GET: Final = re.compile(_ROOT + f"(?:{_NAME})?" + _VERSION + r"(?P<verb>/(?i:metadata)|/openapi\.json)?")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_CACHED_TARGET: Final = 256


class Verb(enum.Enum):
    """What is asked of a model, or of all of them."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    STATUS = "status"
    METADATA = "metadata"
    OPENAPI = "openapi"
    MODELS = "models"


_GET_VERBS: Final[Mapping[str | None, Verb]] = {"/metadata": Verb.METADATA, "/openapi.json": Verb.OPENAPI}


@dataclass(frozen=True, slots=True)
class Route:
    """What a request line means. `spec.name` is empty for `MODELS` only."""

    verb: Verb
    spec: ModelSpec


def find_route(method: str, target: str) -> Route:
    """The route of a request line below `/v1/`; INVALID_ARGUMENT for anything outside the grammar.

    Unlike upstream a query string is no part of the model's name.
    """
    # Clients ask the same few targets; the bound keeps a hostile one from filling the cache with megabytes.
    return _cached(method, target) if len(target) <= _MAX_CACHED_TARGET else _parse(method, target)


def allowed_methods(target: str) -> str:
    """The verbs that a target below `/v1/` takes, as the Allow header lists them."""
    path = _path(target)
    if _POST.fullmatch(path):
        return "POST, OPTIONS"
    return "GET, HEAD, OPTIONS" if _GET.fullmatch(path) else "GET, HEAD, POST, OPTIONS"


def _parse(method: str, target: str) -> Route:
    grammar = _GRAMMARS.get(method)
    match = None if grammar is None else grammar.fullmatch(_path(target))
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {target}", _fix(method, _path(target)))
    name, version, label, verb = match.group("name", "version", "label", "verb")
    spec = ModelSpec(
        _decoded(name or "", "name"),
        None if version is None else _version(version),
        None if label is None else _decoded(label, "version label"),
    )
    if grammar is _POST:
        return Route(Verb(verb), spec)
    if spec.name:
        # A mis-cased /METADATA is a status request upstream.
        return Route(_GET_VERBS.get(verb, Verb.STATUS), spec)
    if version is None and label is None and verb is None:
        return Route(Verb.MODELS, spec)
    raise invalid_argument("Missing model name in request.")


def _fix(method: str, path: str) -> str:
    """What to send instead."""
    if _POST.fullmatch(path):
        return "Send it with POST, and the rows as its body."
    if _GET.fullmatch(path):
        return "Ask it with GET; to predict, POST to the same address with :predict behind it."
    return (
        "POST /v1/models/MODEL[/versions/N | /labels/LABEL]:predict, :classify or :regress; "
        "GET the same without a verb for the status, with /metadata for the signatures."
    )


_GRAMMARS: Final[Mapping[str, re.Pattern[str]]] = {"POST": _POST, "GET": _GET, "HEAD": _GET}
_cached = lru_cache(maxsize=1024)(_parse)


def _path(target: str) -> str:
    return target.partition("?")[0].partition("#")[0]


def _decoded(text: str, what: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise invalid_argument(f"Failed to decode model {what}:{text}")
    # Bytes that are no UTF-8 stay what they are: no model has such a name, and the error repeats it.
    return unquote(text, errors="surrogateescape")


def _version(digits: str) -> int:
    version = parse_version(digits.lstrip("0") or "0")
    if version is None:
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return version
