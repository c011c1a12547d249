"""REST behind keys: who asks is known before the body is read, and what they may ask before it is parsed.

Put in front of the REST port's handler while keys are needed or exist; not on the path otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.dataplane.auth import CALLER, Caller, KeyRing
from jupyter_tfserve.dataplane.http_message import HttpHandler, HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.rest_answers import error_response
from jupyter_tfserve.dataplane.rest_routes import METHODS, find_route
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.keys import ALL_MODELS

PUBLIC_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""They tell a load balancer yes or no, and nothing else."""
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class KeyDoor:
    """`handler` for those who may. One loop owns it."""

    def __init__(self, ring: KeyRing, handler: HttpHandler) -> None:
        self._ring = ring
        self._handler = handler

    def refusal_of_head(self, method: str, target: str, headers: Mapping[str, str]) -> HttpResponse | None:
        """The answer to a stranger, before their body costs anything; None for everyone else."""
        try:
            self._caller(method, target, headers)
        except ServingError as error:
            return _refused(error)
        return None

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The handler's answer; 401, 403 or 429 without asking it."""
        method, target = request.method, request.target
        try:
            # Again: the key may have been revoked while the body came.
            caller = self._caller(method, target, request.headers)
            if caller is None:
                return await self._handler(request)
            caller.check_model(_model_of(method, target))
            CALLER.set(caller)
            QUEUE_CALLER.set(caller.key.id)
            with caller:
                return await self._handler(request)
        except ServingError as error:
            return _refused(error)

    def _caller(self, method: str, target: str, headers: Mapping[str, str]) -> Caller | None:
        # A browser asks with OPTIONS what it may send before it may send a key; the answer is the same for all.
        is_public = method == "OPTIONS" or target.partition("?")[0] in PUBLIC_PATHS
        return None if is_public else self._ring.caller(headers.get("authorization"))


def _model_of(method: str, target: str) -> str:
    """The model that a request is about; `*` for the list of all, for metrics and for whatever is unknown."""
    if target[:4].lower() != "/v1/" or method not in METHODS or not target.isascii():
        return ALL_MODELS
    return find_route(method, target).spec.name or ALL_MODELS


def _refused(error: ServingError) -> HttpResponse:
    is_stranger = error.code is Code.UNAUTHENTICATED
    return error_response(error, _CHALLENGE if is_stranger else {})
