"""Who asks: predict keys recognised, expired ones and strangers refused, each key held to its models and rate.

On the data path this is the first step of a request that carries a key, or of every one where keys are needed
(`KeyRing.required`); while neither is so, it is not on the path at all. The control token is none of these keys: it
opens the control port alone, and no key opens that.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Final

from jupyter_tfserve.dataplane.admission import flow_controller
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.keys import KEY_PREFIX, PredictKey, digest_of, key_id_of

MAX_CREDENTIAL: Final = 256
"""Longer ones are no keys; they are not even hashed."""
NEEDS_KEY: Final = "This server answers only with a key"
_SCHEME: Final = "bearer "
_NO_DIGEST: Final = digest_of("")


class Caller:
    """The holder of one key. `with caller:` counts one request; `Overloaded` over the key's rate."""

    def __init__(self, key: PredictKey, monotonic: Callable[[], float]) -> None:
        self.key = key
        self._flow = flow_controller(key.limits, "This key", monotonic)

    def check_model(self, model: str) -> None:
        """Passes if the key is for `model`; PERMISSION_DENIED, whether there is such a model or not."""
        if not self.key.covers(model):
            names = ", ".join(self.key.models)
            raise ServingError(Code.PERMISSION_DENIED, f"This key is for {names}, and for nothing else")

    def give_back(self) -> None:
        """The request that is under way shall not count for the rate."""
        self._flow.give_back()

    def __enter__(self) -> None:
        """One request begins."""
        if not self._flow.add_request():
            raise self._flow.refusal()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is over."""
        self._flow.finish_request()


CALLER: Final[ContextVar[Caller | None]] = ContextVar("CALLER", default=None)
"""Whose call is being answered; None where nobody showed a key."""


class KeyRing:
    """The keys that count now. `required`: who shows none is refused. Times from `clock`, rates by `monotonic`."""

    def __init__(
        self,
        required: bool,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.required = required
        self.is_used = required
        self._clock = clock
        self._monotonic = monotonic
        self._callers: dict[str, Caller] = {}

    def configure(self, keys: Iterable[PredictKey]) -> None:
        """These keys count from the next request on, on open connections too; the others do no more."""
        before = self._callers
        self._callers = {
            key.id: kept if (kept := before.get(key.id)) and kept.key == key else Caller(key, self._monotonic)
            for key in keys
        }
        self.is_used = self.required or bool(self._callers)

    def caller(self, authorization: str | None) -> Caller | None:
        """Who sends this Authorization value; None if it is nobody we know and nobody needs to be known.

        UNAUTHENTICATED for a key that does not count, and for no key where one is needed. Any text is borne.
        """
        given = _credential(authorization)
        if not given.startswith(KEY_PREFIX):
            if self.required:
                hint = "Send it as `Authorization: Bearer KEY`."
                raise ServingError(Code.UNAUTHENTICATED, NEEDS_KEY, hint)
            return None
        caller = self._callers.get(key_id_of(given) or "")
        expected = _NO_DIGEST if caller is None else caller.key.digest
        # The same work whether the key is known or not, and no shortcut at the first wrong byte.
        is_right = hmac.compare_digest(digest_of(given).encode(), expected.encode())
        if caller is None or not is_right:
            raise ServingError(Code.UNAUTHENTICATED, "This key is unknown, or it was revoked")
        if caller.key.is_expired(self._clock()):
            raise ServingError(Code.UNAUTHENTICATED, "This key has expired")
        return caller

    def holder(self, key_id: str | None) -> Caller | None:
        """The holder of the key that a front process has recognised; None if it saw none and none is needed.

        UNAUTHENTICATED for a key that counts no more.
        """
        if key_id is None:
            if self.required:
                raise ServingError(Code.UNAUTHENTICATED, NEEDS_KEY)
            return None
        caller = self._callers.get(key_id)
        if caller is None or caller.key.is_expired(self._clock()):
            raise ServingError(Code.UNAUTHENTICATED, "This key is unknown, or it was revoked")
        return caller


def _credential(authorization: str | None) -> str:
    if authorization is None or len(authorization) > MAX_CREDENTIAL:
        return ""
    is_bearer = authorization[: len(_SCHEME)].lower() == _SCHEME
    return authorization[len(_SCHEME) :].strip(" ") if is_bearer else ""
