"""The live card's document: what the JupyterLab extension draws from, and then keeps up to date by itself.

It is saved with the notebook, so it holds no token; without a front end that knows it, the HTML beside it is shown.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from jupyter_tfserve.engine.connection import API_LEVEL

if TYPE_CHECKING:
    from jupyter_tfserve.engine.client_figures import VersionFigures
    from jupyter_tfserve.notebook.views import Model, Status, Version

CARD_MIME: Final = "application/vnd.jupyter-tfserve.card+json"


def card_document(status: Status) -> dict[str, Any]:
    """The card of `status`. `engine_name` is None for an engine that the Jupyter server does not keep: the card
    cannot follow it and says so.
    """
    return {
        "api_level": API_LEVEL,
        "engine_name": status.engine_name,
        "owner": status.owner,
        "time": status.time,
        "engine": {"rest_url": status.engine.rest_url, "grpc_address": status.engine.grpc_address},
        "models": [_model(model) for model in status.models],
        "notes": list(status.notes),
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "base_path": model.base_path,
        "labels": dict(model.labels),
        "problem": model.problem,
        "versions": [_version(version) for version in model.versions],
        "curl": model.curl,
    }


def _version(version: Version) -> dict[str, Any]:
    code, _, message = version.error.partition(": ")
    return {
        "version": version.version,
        "state": version.state,
        "error_code": code or "OK",
        "error_message": message,
        "changing_since": version.changing_since,
        "last_error": version.last_error or None,
        "figures": None if version.figures is None else _figures(version.figures),
    }


def _figures(figures: VersionFigures) -> dict[str, Any]:
    """Without the history: a curve of then would be taken for one of now."""
    document = asdict(figures)
    del document["history"]
    return document
