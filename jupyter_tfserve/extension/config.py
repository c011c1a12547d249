"""What an administrator may set for the Jupyter server: traitlets, turned once into a frozen value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Enum, Float, Int, List, TraitError, Unicode
from traitlets.config import Configurable

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class ExtensionOptions:
    """The settings of `TFServe` as the extension uses them. `None` ports mean the default or a free one."""

    root_dir: Path
    allowed_base_paths: tuple[str, ...]
    host: str = "127.0.0.1"
    rest_port: int | None = None
    grpc_port: int | None = None
    start_policy: str = "lazy"
    engine_arguments: tuple[str, ...] = ()
    max_body_bytes: int = 256 * 2**20
    proxy_timeout_s: float = 600.0
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0
    activity_window_s: float = 300.0


class TFServe(Configurable):  # type: ignore[misc]
    """Model serving from this Jupyter server (`c.TFServe.… = …` in jupyter_server_config.py)."""

    allowed_base_paths: Any = List(
        Unicode(),
        help="Folders that models may be served from, with all that lies below. Empty: root_dir.",
    ).tag(config=True)
    host: Any = Unicode(
        "127.0.0.1",
        help="Address that the REST and gRPC ports listen on. Another than loopback needs TLS in engine_arguments "
        "(--ssl_config_file=…), and requests then need keys; or --allow_insecure_network there.",
    ).tag(config=True)
    rest_port: Any = Int(
        None, allow_none=True, help="REST port. None: 8501, or a free one if that is taken. 0: no REST port."
    ).tag(config=True)
    grpc_port: Any = Int(
        None, allow_none=True, help="gRPC port. None: 8500, or a free one if that is taken. 0: no gRPC port."
    ).tag(config=True)
    start_policy: Any = Enum(
        ["lazy", "eager"],
        "lazy",
        help="'eager' starts the engine with the server, 'lazy' when it is asked for.",
    ).tag(config=True)
    engine_arguments: Any = List(
        Unicode(), help="Further flags of `jupyter tfserve serve` for every engine; their paths absolute."
    ).tag(config=True)
    max_body_bytes: Any = Int(
        256 * 2**20, min=1, help="Largest request body that the proxy passes on, in bytes."
    ).tag(config=True)
    proxy_timeout_s: Any = Float(
        600.0, min=0.0, help="Longest time that a proxied request may take, in seconds. 0: no limit."
    ).tag(config=True)
    ready_timeout_s: Any = Float(
        60.0, min=0.1, help="Time that an engine has to answer after its start, in seconds."
    ).tag(config=True)
    stop_timeout_s: Any = Float(
        15.0, min=0.0, help="Time that an engine has to finish requests when it is stopped, in seconds."
    ).tag(config=True)
    activity_window_s: Any = Float(
        300.0,
        min=0.0,
        help="For so many seconds a proxied request keeps the server from being culled as idle.",
    ).tag(config=True)

    def _root_arguments(self, root: str) -> list[str]:
        """What an administrator set holds for kernels too, which speak to the engine themselves.

        root_dir does not: it is where a person's notebooks lie, and their kernels may read elsewhere.
        """
        paths = [os.path.join(root, os.path.expanduser(path)) for path in self.allowed_base_paths]
        if any(os.pathsep in path for path in paths):
            raise TraitError(f"allowed_base_paths must not hold '{os.pathsep}', which separates them")
        return [f"--allowed_roots={os.pathsep.join(paths)}"] if paths else []

    def to_options(self, root_dir: str) -> ExtensionOptions:
        """The settings as a value, with paths made absolute against `root_dir`."""
        root = os.path.abspath(os.path.expanduser(root_dir))
        allowed = self.allowed_base_paths or [root]
        return ExtensionOptions(
            root_dir=Path(root),
            allowed_base_paths=tuple(os.path.join(root, os.path.expanduser(path)) for path in allowed),
            host=self.host,
            rest_port=self.rest_port,
            grpc_port=self.grpc_port,
            start_policy=self.start_policy,
            engine_arguments=(*self._root_arguments(root), *self.engine_arguments),
            max_body_bytes=self.max_body_bytes,
            proxy_timeout_s=self.proxy_timeout_s,
            ready_timeout_s=self.ready_timeout_s,
            stop_timeout_s=self.stop_timeout_s,
            activity_window_s=self.activity_window_s,
        )
