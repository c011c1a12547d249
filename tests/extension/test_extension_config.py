"""`c.TFServe`: every setting reaches the frozen options, paths absolute."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_tfserve.extension.config import ExtensionOptions, TFServe


def test_defaults_allow_the_root_directory_alone(tmp_path):
    options = TFServe().to_options(str(tmp_path))
    assert options == ExtensionOptions(root_dir=tmp_path, allowed_base_paths=(str(tmp_path),))


def test_every_setting_reaches_the_options(tmp_path):
    settings = {
        "allowed_base_paths": ["models", "/data", "~/m"],
        "host": "0.0.0.0",
        "rest_port": 1,
        "grpc_port": 0,
        "start_policy": "eager",
        "engine_arguments": ["--lanes=1"],
        "max_body_bytes": 2,
        "proxy_timeout_s": 3.0,
        "ready_timeout_s": 4.0,
        "stop_timeout_s": 5.0,
        "activity_window_s": 6.0,
    }
    assert set(settings) == set(TFServe.class_own_traits(config=True))
    options = TFServe(config=Config({"TFServe": settings})).to_options(str(tmp_path))
    assert options.allowed_base_paths == (str(tmp_path / "models"), "/data", str(Path.home() / "m"))
    assert options.engine_arguments == (
        f"--allowed_roots={':'.join(options.allowed_base_paths)}",
        "--lanes=1",
    )
    for name in settings.keys() - {"allowed_base_paths", "engine_arguments"}:
        assert getattr(options, name) == settings[name]


@pytest.mark.parametrize(
    "setting", [{"max_body_bytes": 0}, {"start_policy": "soon"}, {"proxy_timeout_s": -1.0}]
)
def test_setting_out_of_range_is_refused(setting):
    with pytest.raises(TraitError):
        TFServe(config=Config({"TFServe": setting}))


def test_base_path_with_the_separator_is_refused(tmp_path):
    with pytest.raises(TraitError, match="must not hold ':'"):
        TFServe(allowed_base_paths=["/a:b"]).to_options(str(tmp_path))


def test_every_setting_has_a_help_line():
    assert all(trait.help for trait in TFServe.class_own_traits(config=True).values())


def test_every_setting_is_in_the_readme():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [
        name for name in TFServe.class_own_traits(config=True) if f"`c.TFServe.{name}`" not in readme
    ] == []
