"""Rows cut out of requests that were sent, for examples of what a model takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from jupyter_tfserve.codec.sample_request import has_rows
from jupyter_tfserve.engine.client_json import encode_body
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.types import Signature


def one_row(document: Mapping[str, Any], signature: Signature) -> dict[str, Any] | None:
    """The first row of a request as plain JSON values, or None if it has none that JSON can hold."""
    row = dict(document)
    if "instances" in row:
        row["instances"] = row["instances"][:1]
    elif isinstance(row.get("inputs"), Mapping) and has_rows(signature):
        row["inputs"] = {alias: column[:1] for alias, column in row["inputs"].items()}
    try:
        # By way of the wire's own encoding: NaN and infinities do not come back.
        plain: dict[str, Any] = orjson.loads(encode_body(row))
    except (ServingError, orjson.JSONDecodeError):
        return None
    return plain if plain.get("instances") != [] else None
