"""The page's gRPC program: what JSON leaves open, dtypes and the signature, is asked of the engine.

Brings numpy, which a Jupyter server that shows no program does without: import it where a program is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from jupyter_tfserve.client.programs import Request, client_text
from jupyter_tfserve.engine.client_state import parse_signature
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.extension.engines import Engines
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature

DEFAULT_ENGINE: Final = "default"
CALL_TIMEOUT_S: Final = 10.0


def parse_target(wanted: object) -> tuple[ModelSpec, int | None] | None:
    """Whom a gRPC program shall ask, and the version whose signature that has now; None if none is wanted."""
    if wanted is None:
        return None
    if isinstance(wanted, dict):
        model, version, label = wanted.get("model"), wanted.get("version"), wanted.get("label")
        if isinstance(model, str) and type(version) in (int, type(None)) and isinstance(label, str | None):
            return ModelSpec(model, version if label is None else None, label), version
    raise invalid_argument(
        "'grpc' needs 'model' as text, and may have 'version' as a number and 'label' as text"
    )


async def grpc_program(
    engines: Engines, target: tuple[ModelSpec, int | None], document: Mapping[str, Any]
) -> str:
    """The program that sends `document` over gRPC; empty without such a port, or where it does not fit the model."""
    spec, version = target
    path = f"/control/models/{quote(spec.name, safe='')}/signatures"
    suffix = "" if version is None else f"?version={version}"
    try:
        address = engines.connection(DEFAULT_ENGINE).grpc_address
        reply = await engines.call(DEFAULT_ENGINE, "GET", path + suffix, None, CALL_TIMEOUT_S)
    except ServingError:
        return ""  # the page says already that the engine is away
    if reply.status != 200 or not address:
        return ""
    return _text(spec, orjson.loads(reply.body)["signatures"], document, address)


def _text(spec: ModelSpec, signatures: Mapping[str, Any], document: Mapping[str, Any], address: str) -> str:
    name = document.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(name, str) or name not in signatures:
        return ""
    signature: Signature = parse_signature(signatures[name])
    try:
        return client_text("grpc", Request(spec, name, signature, document, {}, "", address))
    except (LookupError, TypeError, ValueError, AttributeError):
        return ""  # somebody is still typing: the document is no request for this signature
