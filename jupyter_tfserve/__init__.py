"""The entry points that Jupyter and IPython look for, the notebook's two names, and `FlowController`.

Importing the package costs nothing: everything is imported when it is asked for, and TensorFlow never is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from jupyter_tfserve._version import __version__

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.admission import FlowController
    from jupyter_tfserve.notebook.api import connect
    from jupyter_tfserve.notebook.server import Server

__all__ = ["FlowController", "Server", "__version__", "connect"]

_MODULE_OF: Final = {
    "FlowController": "jupyter_tfserve.dataplane.admission",
    "Server": "jupyter_tfserve.notebook.server",
    "connect": "jupyter_tfserve.notebook.api",
}


def __getattr__(name: str) -> Any:
    """The public names, imported at first use."""
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What `jupyter server extension enable jupyter_tfserve` finds."""
    from jupyter_tfserve.extension.app import TFServeExtension

    return [{"module": "jupyter_tfserve", "app": TFServeExtension}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """What `jupyter labextension develop` links."""
    return [{"src": "labextension", "dest": "jupyter-tfserve"}]


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext jupyter_tfserve`: adds `%tfserve` and `%%tfserve`."""
    from jupyter_tfserve.notebook.magics import TFServeMagics

    ipython.register_magics(TFServeMagics)
