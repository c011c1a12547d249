"""session_config: ConfigProto text, and the flags that overwrite it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jupyter_tfserve.codec.session_config import SessionFlags, session_config, session_config_class
from jupyter_tfserve.errors import Code, ServingError

TEXT = """
device_count { key: "CPU" value: 2 }
gpu_options { per_process_gpu_memory_fraction: 0.9 visible_device_list: "1" }
"""


def parsed(text: str, **flags):
    return session_config_class().FromString(session_config(text, "f", SessionFlags(**flags)))


def test_config_is_empty_when_nothing_is_said():
    assert session_config("", "f", SessionFlags()) == b""


def test_files_values_stay_when_no_flag_overwrites_them():
    config = parsed(TEXT)
    assert config.device_count["CPU"] == 2
    assert config.gpu_options.visible_device_list == "1"


def test_memory_fraction_is_the_flags_even_when_that_was_not_given():
    """Upstream overwrites it always."""
    assert parsed(TEXT).gpu_options.per_process_gpu_memory_fraction == 0
    assert (
        parsed(TEXT, per_process_gpu_memory_fraction=0.25).gpu_options.per_process_gpu_memory_fraction == 0.25
    )


def test_xla_and_bfloat16_are_session_options_when_asked_for():
    options = parsed("", use_xla=True, use_bfloat16=True).graph_options
    assert options.optimizer_options.global_jit_level == type(options.optimizer_options).ON_1
    rewriter = options.rewrite_options
    assert rewriter.auto_mixed_precision_onednn_bfloat16 == type(rewriter).ON


@pytest.mark.parametrize("text", ["no_such_field: 1", "gpu_options {", "intra_op_parallelism_threads: many"])
def test_text_is_refused_with_the_file_when_it_is_no_config(text):
    with pytest.raises(ServingError) as caught:
        session_config(text, "session.config", SessionFlags())
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "Invalid protobuf file: 'session.config'"
    assert caught.value.hint


def test_tensorflow_is_not_imported_by_parsing():
    code = (
        "import sys\n"
        "from jupyter_tfserve.codec.session_config import SessionFlags, session_config\n"
        "session_config('allow_soft_placement: true', 'f', SessionFlags())\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_float16_is_the_gpus_rewriter_when_asked_for():
    rewriter = parsed("", use_float16=True).graph_options.rewrite_options
    assert rewriter.auto_mixed_precision == rewriter.ON
    assert rewriter.auto_mixed_precision_onednn_bfloat16 == rewriter.DEFAULT
    assert (
        parsed("", use_bfloat16=True).graph_options.rewrite_options.auto_mixed_precision == rewriter.DEFAULT
    )
