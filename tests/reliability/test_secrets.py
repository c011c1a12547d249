"""What other people of the machine can see of a running engine."""

from __future__ import annotations

import ipaddress
import stat

import psutil


def test_everything_listens_on_loopback(engine, oracles, record_case) -> None:
    processes = [psutil.Process(engine.process.pid), *engine.processes()]
    listening = [
        one.laddr.ip
        for process in processes
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    strangers = [ip for ip in listening if not ipaddress.ip_address(ip.removeprefix("::ffff:")).is_loopback]
    record_case("S1", "listeners that are not on loopback", len(strangers), f"of {len(listening)}")
    assert strangers == []


def test_token_is_nowhere_but_in_its_file(engine, oracles, record_case) -> None:
    token, folder = engine.connection.token, engine.log.parent
    for path in ("/v1/models/none", "/v1/models/half_plus_two:predict", "/", "/control/state"):
        answer = engine.rest.post(path, content='{"instances": "x"}')
        assert 400 <= answer.status_code < 500
        oracles.check_clean(answer.text)
    refused = engine.control.get(
        "/control/models/none/versions/1/wait", headers={"Authorization": "Bearer no"}
    )
    assert refused.status_code == 401
    oracles.check_clean(refused.text)
    processes = [psutil.Process(engine.process.pid), *engine.processes()]
    seen = [" ".join(process.cmdline()) for process in processes]
    seen += ["\n".join(f"{k}={v}" for k, v in process.environ().items()) for process in processes]
    seen.append(engine.log.read_text(errors="replace"))
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    holders = [path for path in files if token.encode() in path.read_bytes()]
    record_case("S8", "places that hold the token", sum(token in text for text in seen), f"of {len(seen)}")
    assert not any(token in text for text in seen)
    assert [path.name for path in holders] == ["connection.json"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
    state = folder / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in state.iterdir())
