"""OpenAPI documents of loaded versions, made when first asked for and kept while the version is the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import orjson

from jupyter_tfserve.codec.openapi import openapi_document
from jupyter_tfserve.types import ModelSpec, Signature

MAX_DOCUMENTS: Final = 64
"""Documents that are kept; the one that was not asked for longest goes first."""


class OpenApiDocuments:
    """The documents of one engine. Lives on its loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[ModelSpec, tuple[Mapping[str, Signature], bytes]] = OrderedDict()

    def document(self, spec: ModelSpec, version: int, signatures: Mapping[str, Signature]) -> bytes:
        """The document for `spec`, which `version` with these signatures answers now."""
        kept = self._kept.pop(spec, None)
        # By identity: a version that is loaded again has signatures of its own, and may have changed.
        if kept is None or kept[0] is not signatures:
            kept = (signatures, orjson.dumps(openapi_document(spec, version, signatures)))
        self._kept[spec] = kept
        if len(self._kept) > MAX_DOCUMENTS:
            self._kept.popitem(last=False)
        return kept[1]
