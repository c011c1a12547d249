"""Batching settings of a real engine: set live, held by the loaded version, kept on disk."""

from __future__ import annotations


def test_settings_hold_at_once_and_after_a_restart(start_engine, saved_models, tmp_path):
    flags = (f"--state_dir={tmp_path}/state", "--target_p99_ms=50")
    engine = start_engine(*flags)
    engine.call("POST", "/control/open", path=f"{saved_models}/half_plus_two")
    route = "/control/models/half_plus_two/batching"
    version = engine.call("GET", "/control/state")["models"][0]["versions"][0]["version"]
    engine.call("GET", f"/control/models/half_plus_two/versions/{version}/wait?timeout_s=60")
    body = {"instances": [[1.0]]}
    before = engine.rest.post("/v1/models/half_plus_two:predict", json=body).json()
    started = engine.call("GET", route)
    held = started["versions"][str(version)]
    assert (started["settings"], held["target_p99_ms"], held["is_adaptive"]) == ({}, 50.0, True)
    assert held["learned"]["serving_default"]["milliseconds"]
    pid = engine.call("GET", "/control/state")["models"][0]["versions"][0]["pid"]

    changed = engine.call("PUT", route, max_batch_size=7, target_p99_ms=0)
    held = changed["versions"][str(version)]
    assert (held["max_batch_size"], held["target_p99_ms"]) == (7, 0)
    assert engine.rest.post("/v1/models/half_plus_two:predict", json=body).json() == before
    model = engine.call("GET", "/control/state")["models"][0]
    assert (model["batching"], model["versions"][0]["pid"]) == (
        {"max_batch_size": 7, "target_p99_ms": 0},
        pid,
    )
    event = engine.call("GET", "/control/history?limit=1")["events"][0]
    assert (event["kind"], event["model"]) == ("config", "half_plus_two")
    assert "max_batch_size" in event["detail"]

    refused = engine.control.put(route, json={"max_batch_size": 0})
    assert refused.status_code == 400
    assert engine.control.get("/control/models/none/batching").status_code == 404
    assert engine.control.put("/control/models/none/batching", json={}).status_code == 404
    engine.call("POST", "/control/shutdown", keep_models=True)
    engine.process.wait(20)

    again = start_engine(*flags)
    again.call("GET", f"/control/models/half_plus_two/versions/{version}/wait?timeout_s=60")
    restored = again.call("GET", route)
    assert restored["settings"] == {"max_batch_size": 7, "target_p99_ms": 0}
    assert restored["versions"][str(version)]["max_batch_size"] == 7
    reset = again.call("PUT", route)
    assert (reset["settings"], reset["versions"][str(version)]["target_p99_ms"]) == ({}, 50.0)
