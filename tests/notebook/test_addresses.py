"""Where clients send to: this host's ports, or Jupyter's address as the world sees it."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.connection import Connection
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.addresses import Via, place_for, public_url

HERE = "http://127.0.0.1:8888/user/ann/jupyter-tfserve"
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
CONNECTION = Connection(
    1, 2.0, "http://127.0.0.1:3", "token", "http://127.0.0.1:8501", "127.0.0.1:8500", "1", 1, None, 4
)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, HERE),
        (HUB, "https://YOUR-HUB/user/ann/jupyter-tfserve"),
        (
            {**HUB, "JUPYTERHUB_PUBLIC_URL": "https://h.org/user/ann/"},
            "https://h.org/user/ann/jupyter-tfserve",
        ),
        (
            {**HUB, "JUPYTERHUB_PUBLIC_HUB_URL": "https://h.org/base/hub/"},
            "https://h.org/user/ann/jupyter-tfserve",
        ),
        ({**HUB, "JUPYTERHUB_HOST": "https://ann.h.org"}, "https://ann.h.org/user/ann/jupyter-tfserve"),
    ],
)
def test_address_is_the_hubs_when_there_is_one(environment, url):
    assert public_url(HERE, environment) == url


def test_way_is_direct_when_there_is_no_hub():
    place = place_for(CONNECTION, HERE, None, {})
    assert (place.base_url, place.grpc_address) == ("http://127.0.0.1:8501", "127.0.0.1:8500")
    assert not place.needs_token
    assert place.notes == ()


def test_way_is_through_jupyter_when_there_is_a_hub_or_it_is_named():
    under_hub = place_for(CONNECTION, HERE, None, HUB)
    assert under_hub.base_url == "https://YOUR-HUB/user/ann/jupyter-tfserve"
    assert under_hub.needs_token
    assert "/hub/token" in under_hub.notes[0]
    assert "browser's address" in under_hub.notes[1]
    known = place_for(CONNECTION, HERE, None, {**HUB, "JUPYTERHUB_PUBLIC_URL": "https://h.org/user/ann/"})
    assert "browser" not in "".join(known.notes)
    on_binder = place_for(CONNECTION, HERE, None, {**HUB, "BINDER_LAUNCH_HOST": "https://mybinder.org/"})
    assert on_binder.base_url == "https://YOUR-HUB/user/ann/jupyter-tfserve"
    assert "jupyter server list" in on_binder.notes[0]
    named = place_for(CONNECTION, HERE, Via.JUPYTER, {})
    assert named.base_url == HERE
    assert "jupyter server list" in named.notes[0]
    assert place_for(CONNECTION, HERE, Via.DIRECT, HUB).base_url == "http://127.0.0.1:8501"


def test_way_is_direct_when_a_hubs_kernel_keeps_its_own_engine():
    assert place_for(CONNECTION, None, None, HUB).base_url == "http://127.0.0.1:8501"
    with pytest.raises(ServingError):
        place_for(CONNECTION, None, Via.JUPYTER, HUB)
