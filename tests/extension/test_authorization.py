"""Every handler and verb: closed without a token, and opened by the action that it states."""

from __future__ import annotations

import json
import re
import warnings

import pytest
from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.utils import JupyterServerAuthWarning

from jupyter_tfserve.extension.app import HANDLERS
from jupyter_tfserve.extension.handlers.page import FILES

DOORS = [
    ("GET", "api/status", "read"),
    ("GET", "api/engines", "read"),
    ("POST", "api/engines", "execute"),
    ("GET", "api/engines/default", "read"),
    ("DELETE", "api/engines/default", "write"),
    ("POST", "api/engines/default/restart", "execute"),
    ("GET", "api/engines/default/log", "read"),
    ("GET", "api/engines/default/control/state", "read"),
    ("POST", "api/engines/default/control/open", "execute"),
    ("POST", "api/engines/default/control/config", "execute"),
    ("POST", "api/engines/default/control/models/m/refresh", "execute"),
    ("PUT", "api/engines/default/control/models/m/labels/l", "write"),
    ("PUT", "api/engines/default/control/models/m/labels/policy", "write"),
    ("PUT", "api/engines/default/control/models/m/limits", "write"),
    ("PUT", "api/engines/default/control/models/m/policy", "execute"),
    ("PUT", "api/engines/default/control/models/m/%70olicy", "execute"),
    ("DELETE", "api/engines/default/control/models/m", "write"),
    ("DELETE", "api/engines/default/control/models/m/labels/l", "write"),
    ("POST", "api/snippets", "read"),
    ("GET", "v1/models/m", "read"),
    ("POST", "v1/models/m:predict", "execute"),
    ("GET", "nothing", "read"),
    ("POST", "nothing", "read"),
    ("PUT", "nothing", "read"),
    ("DELETE", "nothing", "read"),
]

PAGES = [("GET", "", "read"), *(("GET", f"static/{name}", "read") for name in FILES)]
"""What a browser opens: it is sent to the login, and told in HTML."""


class RecordingAuthorizer(Authorizer):
    """Allows the actions in `allowed`, and keeps what it was asked."""

    allowed = frozenset()
    asked = None

    def is_authorized(self, handler, user, action, resource):
        self.asked.append((action, resource))
        return action in self.allowed


@pytest.fixture
def jp_server_config(jp_server_config, request):
    if "allowed" in request.fixturenames:
        jp_server_config["ServerApp"]["authorizer_class"] = RecordingAuthorizer
    return jp_server_config


@pytest.fixture
def allowed(monkeypatch):
    """A set of allowed actions, to be changed by the test."""
    actions = set()
    monkeypatch.setattr(RecordingAuthorizer, "allowed", actions)
    monkeypatch.setattr(RecordingAuthorizer, "asked", [])
    return actions


def test_list_of_doors_is_complete():
    """Every verb that a handler defines is in the list above."""
    verbs = ("get", "head", "post", "put", "patch", "delete")
    defined = {(verb.upper(), handler) for _, handler in HANDLERS for verb in verbs if verb in vars(handler)}
    listed = {(method, handler_of(path)) for method, path, _ in [*DOORS, *PAGES]}
    assert listed == defined


def handler_of(path):
    return next(handler for pattern, handler in HANDLERS if re.fullmatch(pattern, f"/jupyter-tfserve/{path}"))


@pytest.mark.parametrize(
    "header", [{"Authorization": ""}, {"Authorization": "token wrong"}, {"Authorization": "token é"}]
)
async def test_every_door_is_closed_without_the_token(api, engines, header):
    for method, path, _ in DOORS:
        for extra in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
            response = await api(method, path, headers={**header, **extra})
            assert response.code == 403, (method, path, response.code)
            error = json.loads(response.body)
            assert error["code"] == "PERMISSION_DENIED"
            assert "token" in error["hint"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert engines.all() == []


async def test_every_page_leads_to_the_login_without_the_token(api, jp_base_url):
    for method, path, _ in PAGES:
        response = await api(method, path, headers={"Authorization": ""}, follow_redirects=False)
        assert response.code == 302, path
        assert response.headers["Location"].startswith(f"{jp_base_url}login?next=")


async def test_every_page_asks_for_reading(api, allowed):
    for method, path, action in PAGES:
        RecordingAuthorizer.asked.clear()
        assert (await api(method, path)).code == 403, path
        assert set(RecordingAuthorizer.asked) == {(action, "tfserve")}, path
        allowed.add(action)
        assert (await api(method, path)).code == 200, path
        allowed.clear()


async def test_every_door_asks_for_its_own_action(api, allowed, running_ignoring_authorizer):
    for method, path, action in DOORS:
        allowed.clear()
        RecordingAuthorizer.asked.clear()
        response = await api(method, path)
        assert response.code == 403, (method, path, response.code)
        assert set(RecordingAuthorizer.asked) == {(action, "tfserve")}, (method, path)
        assert action in json.loads(response.body)["error"]


async def test_reader_sees_and_changes_nothing(api, allowed, running_ignoring_authorizer):
    allowed.add("read")
    for method, path, action in DOORS:
        if path == "nothing":
            continue
        response = await api(method, path, {"url": "http://h", "body": "{}"} if "snippets" in path else None)
        assert response.code == (200 if action == "read" else 403), (method, path, response.code)
    status = json.loads((await api("GET", "api/status")).body)
    assert status["engines"][0]["pid"] == running_ignoring_authorizer["pid"]


@pytest.fixture
async def running_ignoring_authorizer(api, allowed):
    allowed.add("execute")
    response = await api("POST", "api/engines", {})
    allowed.clear()
    return json.loads(response.body)


async def test_jupyters_audit_finds_no_open_handler(jp_configurable_serverapp, jp_server_config, stand_in):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app = jp_configurable_serverapp(config=jp_server_config)
    await app._cleanup()
    app.clear_instance()
    assert not [str(item.message) for item in caught if issubclass(item.category, JupyterServerAuthWarning)]


async def test_cookie_user_needs_the_xsrf_token(api, engines, jp_serverapp, http_server_client, jp_base_url):
    cookies = await login(jp_serverapp, http_server_client, jp_base_url)
    for method, path, _ in DOORS:
        if method == "GET":
            continue
        url = f"{jp_base_url}jupyter-tfserve/{path}"
        response = await http_server_client.fetch(
            url,
            method=method,
            body=b"{}",
            headers={"Cookie": cookies},
            raise_error=False,
            allow_nonstandard_methods=True,
        )
        assert response.code == 403, (method, path, response.code)
        assert "_xsrf" in json.loads(response.body)["error"]
    assert engines.all() == []


async def test_cookie_user_with_the_xsrf_token_is_let_in(jp_serverapp, http_server_client, jp_base_url):
    cookies = await login(jp_serverapp, http_server_client, jp_base_url)
    xsrf = dict(part.split("=", 1) for part in cookies.split("; "))["_xsrf"]
    response = await http_server_client.fetch(
        f"{jp_base_url}jupyter-tfserve/api/engines",
        method="POST",
        body=b"{}",
        headers={"Cookie": cookies, "X-XSRFToken": xsrf},
        raise_error=False,
    )
    assert response.code == 200


@pytest.mark.parametrize("origin", ["http://evil.test", "null"])
async def test_foreign_origin_changes_nothing_for_a_cookie_user(
    jp_serverapp, http_server_client, jp_base_url, engines, origin
):
    cookies = await login(jp_serverapp, http_server_client, jp_base_url)
    xsrf = dict(part.split("=", 1) for part in cookies.split("; "))["_xsrf"]
    response = await http_server_client.fetch(
        f"{jp_base_url}jupyter-tfserve/api/engines",
        method="POST",
        body=b"{}",
        headers={"Cookie": cookies, "X-XSRFToken": xsrf, "Origin": origin},
        raise_error=False,
    )
    assert response.code in (403, 404)
    assert engines.all() == []


async def test_foreign_host_is_refused(api, engines):
    for method, path, _ in DOORS:
        response = await api(method, path, headers={"Host": "evil.test"})
        assert response.code == 403, (method, path)
    assert engines.all() == []


async def login(app, client, base_url):
    """The cookies of a browser that opened the server's link, as one header."""
    token = app.identity_provider.token
    page = await client.fetch(f"{base_url}login")
    entry = await client.fetch(f"{base_url}api/me?token={token}")
    cookies = {}
    for answer in (page, entry):
        for line in answer.headers.get_list("Set-Cookie"):
            name, _, value = line.split(";")[0].partition("=")
            cookies[name] = value
    assert "_xsrf" in cookies
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
