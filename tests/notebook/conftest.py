"""A kernel's surroundings in a folder of their own, and one real engine that these tests share."""

from __future__ import annotations

import shutil

import pytest

from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery

FREE_PORT = -1


def set_kernel_home(patch, home):
    """No Jupyter server, and Jupyter's folders and the current folder below `home`."""
    for name in ("JPY_PARENT_PID", "JUPYTERHUB_API_TOKEN", "JUPYTER_TFSERVE_CONNECTION"):
        patch.delenv(name, raising=False)
    patch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
    patch.setenv("JUPYTER_RUNTIME_DIR", str(home / "runtime"))
    patch.setenv("IPYTHONDIR", str(home / "ipython"))
    patch.chdir(home)


@pytest.fixture
def kernel_home(monkeypatch, tmp_path):
    set_kernel_home(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def models_folder(make_saved_models, tmp_path_factory):
    """A folder of models that tests may add to."""
    made = make_saved_models("version=1", "version=2", "version=3", "strings=1", "keras=1", "unbatched=1")
    folder = tmp_path_factory.mktemp("kernel") / "saved_models"
    for name in ("version", "strings", "keras", "unbatched"):
        shutil.copytree(made / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def server(models_folder):
    """A real engine of this process with the models of `models_folder`, all versions of `version`."""
    with pytest.MonkeyPatch.context() as patch:
        set_kernel_home(patch, models_folder.parent)
        discovery = Discovery(models_folder.parent, ask_jupyter=False)
        server = connect(models_folder, rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    server.versions("all", model="version")
    yield server
    server.stop()
