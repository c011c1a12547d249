"""Where a client finds the server: its own ports on this host, or through Jupyter, whose URL the world sees. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jupyter_tfserve.engine.connection import Connection
from jupyter_tfserve.errors import Code, ServingError

UNKNOWN_HUB: Final = "https://YOUR-HUB"
HOST_NOTE: Final = "YOUR-HUB stands for the host in your browser's address, which the hub did not tell."
EXTENSION_PATH: Final = "jupyter-tfserve"


class Via(enum.Enum):
    """The way that a client takes."""

    DIRECT = "direct"
    JUPYTER = "jupyter"


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients send to; empty addresses for what is switched off. `notes` are for whoever copies a snippet."""

    base_url: str
    grpc_address: str
    needs_token: bool = False
    notes: tuple[str, ...] = ()


def place_for(
    connection: Connection, jupyter_url: str | None, via: Via | None, environment: Mapping[str, str]
) -> Place:
    """The place for that way (None: the usual one). FAILED_PRECONDITION when Jupyter keeps no such way."""
    rest, grpc = connection.rest_url or "", connection.grpc_address or ""
    if (via or usual_way(jupyter_url, environment)) is Via.DIRECT:
        return Place(rest, grpc)
    if jupyter_url is None:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "No Jupyter server passes requests to this engine.",
            "Leave `--via jupyter` out, or start the engine in JupyterLab with the server extension.",
        )
    grpc_note = "gRPC does not pass Jupyter: that client must run where this notebook's kernel runs."
    url = public_url(jupyter_url, environment)
    host_notes = [HOST_NOTE] if url.startswith(UNKNOWN_HUB) else []
    notes = (token_note(environment), *host_notes, *([grpc_note] if grpc else []))
    return Place(url, grpc, True, notes)


def public_url(jupyter_url: str, environment: Mapping[str, str]) -> str:
    """The address of our paths through Jupyter as a browser outside of this host sees it.

    `jupyter_url` is what this host sees. A hub tells its servers their prefix and, if its administrator set
    it, its public address; else `https://YOUR-HUB` stands for it.
    """
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX")
    if not prefix:
        return jupyter_url
    known = environment.get("JUPYTERHUB_PUBLIC_URL")
    if known:
        return f"{known.rstrip('/')}/{EXTENSION_PATH}"
    hub = environment.get("JUPYTERHUB_PUBLIC_HUB_URL") or environment.get("JUPYTERHUB_HOST") or UNKNOWN_HUB
    parts = urlsplit(hub)
    return f"{parts.scheme}://{parts.netloc}/{prefix.strip('/')}/{EXTENSION_PATH}"


def usual_way(jupyter_url: str | None, environment: Mapping[str, str]) -> Via:
    """Through Jupyter under a hub, whose ports nobody outside reaches; else directly."""
    is_hub = bool(environment.get("JUPYTERHUB_SERVICE_PREFIX"))
    return Via.JUPYTER if is_hub and jupyter_url is not None else Via.DIRECT


def token_note(environment: Mapping[str, str]) -> str:
    """Where a person gets the token that a snippet through Jupyter reads from the environment."""
    # Binder's servers stand behind a hub, but have a token of their own and nobody signed in.
    if environment.get("JUPYTERHUB_SERVICE_PREFIX") and not environment.get("BINDER_LAUNCH_HOST"):
        return "JUPYTER_TOKEN is a token of yours from the hub's page Token (/hub/token)."
    return "JUPYTER_TOKEN is the token of the Jupyter server: `jupyter server list` shows it."
