"""A blocking client of one engine: its control API, and prediction over REST with numpy on both sides.

Used by notebooks, the command line and the Jupyter server's own threads. Imports no TensorFlow. Every failure
is a `ServingError` whose hint is the next step for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from jupyter_tfserve.client.http_caller import HttpCaller, error_of
from jupyter_tfserve.client.rest import model_path, predict_document, predict_timed
from jupyter_tfserve.engine.client_figures import Figures, parse_figures
from jupyter_tfserve.engine.client_state import (
    Json,
    Opened,
    State,
    VersionState,
    parse_signature,
    parse_state,
    parse_version_state,
)
from jupyter_tfserve.types import ModelSpec, Signature, Tensor

__all__ = ["ControlClient", "error_of", "predict_path"]

REPLY_TIMEOUT_S: Final = 60.0
GONE_HINT: Final = "Start it with `%tfserve start PATH` (in a terminal: `jupyter tfserve serve`)."


class ControlClient:
    """One engine, spoken to over its control port. Safe to share between threads; close it after use."""

    def __init__(self, url: str, token: str, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = HttpCaller(url, headers, timeout_s, "The engine", GONE_HINT)

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def state(self, timeout_s: float | None = None) -> State:
        """What runs now."""
        return parse_state(self._call("GET", "/control/state", timeout_s=timeout_s))

    def figures(self) -> Figures:
        """What every version that serves has answered in the last minute, and what it takes."""
        return parse_figures(self._call("GET", "/control/figures"))

    def open(self, path: str, name: str | None = None, *, create: bool = False) -> Opened:
        """Serve the models under `path`; doing it twice changes nothing. NOT_FOUND without such a folder."""
        reply = self._call("POST", "/control/open", {"path": path, "name": name, "create": create})
        return Opened(tuple(reply.get("models", ())), tuple(reply.get("notes", ())))

    def remove_model(self, model: str) -> None:
        """Serve `model` no longer; its files stay."""
        self._call("DELETE", _model_path(model))

    def set_label(self, model: str, label: str, version: int) -> int | None:
        """Point `label` at `version`; returns the version that it named before."""
        reply = self._call("PUT", _model_path(model, "labels", label), {"version": version})
        previous = reply.get("previous")
        return None if previous is None else int(previous)

    def remove_label(self, model: str, label: str) -> int:
        """Take `label` away; returns the version that it named."""
        return int(self._call("DELETE", _model_path(model, "labels", label))["previous"])

    def set_policy(self, model: str, policy: Mapping[str, Any]) -> None:
        """Choose what is served: `{"latest": {"num_versions": n}}`, `{"all": {}}` or `{"specific": …}`."""
        self._call("PUT", _model_path(model, "policy"), dict(policy))

    def set_limits(self, model: str, limits: Mapping[str, Any]) -> None:
        """Bound what may be asked of `model`: `requests_per_second`, `burst`, `max_in_flight`, `slow_start_s`."""
        self._call("PUT", _model_path(model, "limits"), dict(limits))

    def keys(self) -> Json:
        """`{"keys": […], "required": bool}`; nothing of a key but what anyone may see."""
        return self._call("GET", "/control/keys")

    def add_key(self, wish: Mapping[str, Any]) -> Json:
        """A new predict key, told this once as `key`: `models`, and maybe `name`, `expires_s` and limits."""
        return self._call("POST", "/control/keys", dict(wish))

    def remove_key(self, key_id: str) -> None:
        """Revoke a key; the next request with it is refused."""
        self._call("DELETE", f"/control/keys/{quote(key_id, safe='')}")

    def batching(self, model: str) -> Json:
        """What is set for the model's batches, what holds for each version, and what was learned of it."""
        return self._call("GET", _model_path(model, "batching"))

    def set_batching(self, model: str, settings: Mapping[str, Any]) -> Json:
        """Replace the model's settings; with none it is batched as the server was started. As `batching`."""
        return self._call("PUT", _model_path(model, "batching"), dict(settings))

    def set_replicas(self, model: str, count: int | None) -> None:
        """So many processes for each version of the model, 0: one for each GPU; None: as the server was started."""
        self._call("PUT", _model_path(model, "replicas"), {"replicas": count})

    def refresh(self, model: str) -> None:
        """Have the engine look at the model's folder now."""
        self._call("POST", _model_path(model, "refresh"))

    def load(self, model: str, version: int, *, hold: bool = False) -> bool:
        """Have the engine load a version that failed once more; `wait` tells how it went.

        False if its version policy does not want that version. With `hold` it is wanted all the same, until a label
        names it or for five minutes, unless the model comes from a config file.
        """
        path = _model_path(model, "versions", str(version), "load")
        return bool(self._call("POST", path, {"hold": hold})["wanted"])

    def wait(self, model: str, version: int, timeout_s: float) -> VersionState:
        """The version once it is AVAILABLE or END. DEADLINE_EXCEEDED when it is neither after `timeout_s`."""
        path = _model_path(model, "versions", str(version), "wait") + f"?timeout_s={timeout_s}"
        return parse_version_state(self._call("GET", path, timeout_s=timeout_s + REPLY_TIMEOUT_S))

    def signatures(self, model: str, version: int | None = None) -> tuple[int, dict[str, Signature]]:
        """The signatures of a version (None: the latest available), and which version that is."""
        query = "" if version is None else f"?version={version}"
        reply = self._call("GET", _model_path(model, "signatures") + query)
        return int(reply["version"]), {k: parse_signature(v) for k, v in reply["signatures"].items()}

    def set_config(self, text: str) -> tuple[str, ...]:
        """Apply a ModelServerConfig, as text proto or JSON; notes about models that are not up yet.

        A refusal changes nothing; UNKNOWN: it is applied, and models of it failed.
        """
        return tuple(self._call("POST", "/control/config", {"text": text}).get("notes", ()))

    def history(self, limit: int = 50) -> list[Json]:
        """The engine's latest events, newest first."""
        events: list[Json] = self._call("GET", f"/control/history?limit={limit}")["events"]
        return events

    def shutdown(self) -> None:
        """Ask the engine to finish what is in flight and to exit."""
        self._call("POST", "/control/shutdown")

    def predict(
        self, spec: ModelSpec, body: Mapping[str, Any], signature: Signature | None = None
    ) -> Tensor | dict[str, Tensor]:
        """The answer of `:predict` to the document `body`: see `client.rest.predict_document`."""
        return predict_document(self._http, spec, body, signature)

    def predict_timed(
        self, spec: ModelSpec, body: Mapping[str, Any], signature: Signature | None = None
    ) -> tuple[Tensor | dict[str, Tensor], dict[str, float]]:
        """As `predict`, and where the engine's time went: see `client.rest.predict_timed`."""
        return predict_timed(self._http, spec, body, signature)

    def _call(self, method: str, path: str, body: Json | None = None, timeout_s: float | None = None) -> Json:
        content = None if body is None else orjson.dumps(body)
        reply = self._http.send(method, path, content, timeout_s)
        document = orjson.loads(reply) if reply else {}
        return document if isinstance(document, dict) else {}


def predict_path(spec: ModelSpec) -> str:
    """TensorFlow Serving's path of `:predict` for a model, a version or a label."""
    return model_path(spec) + ":predict"


def _model_path(model: str, *parts: str) -> str:
    return "/".join(["/control/models", *(quote(part, safe="") for part in (model, *parts))])
