"""platform_config: PlatformConfigMap text protos, as upstream's users have them."""

from __future__ import annotations

import pytest

from jupyter_tfserve.codec.platform_config import parse_platform_config
from jupyter_tfserve.codec.session_config import session_config_class
from jupyter_tfserve.errors import Code, ServingError

ADAPTER = "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig"


def platform(legacy_config: str, name: str = "tensorflow", adapter: str = ADAPTER) -> str:
    body = f"legacy_config {{ {legacy_config} }}" if adapter == ADAPTER else legacy_config
    config = f"source_adapter_config {{ [{adapter}] {{ {body} }} }}"
    return f'platform_configs {{ key: "{name}" value {{ {config} }} }}'


def test_config_has_the_defaults_of_its_message_when_it_is_empty():
    config = parse_platform_config(platform(""), "f")
    assert (config.session_config, config.batching, config.notes) == (b"", None, ())
    assert config.saved_model_tags == ("serve",)
    assert not config.enable_model_warmup


def test_everything_that_maps_is_read():
    config = parse_platform_config(
        platform(
            """
            session_config { intra_op_parallelism_threads: 3 inter_op_parallelism_threads: 2
                             gpu_options { per_process_gpu_memory_fraction: 0.5 } }
            batching_parameters { max_batch_size { value: 7 } allowed_batch_sizes: 7 num_batch_threads { value: 5 } }
            saved_model_tags: "serve" saved_model_tags: "gpu"
            enable_model_warmup: true model_warmup_options { num_request_iterations { value: 4 } }
            prefer_tflite_model: true num_tflite_pools: 6 enable_per_model_batching_params: true
            mixed_precision: "bfloat16"
            """
        ),
        "f",
    )
    session = session_config_class().FromString(config.session_config)
    assert session.gpu_options.per_process_gpu_memory_fraction == 0.5
    assert session.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16
    assert (config.intra_op_parallelism, config.inter_op_parallelism) == (3, 2)
    assert config.batching is not None
    assert (config.batching.options.max_batch_size, config.batching.lanes) == (7, 5)
    assert config.saved_model_tags == ("serve", "gpu")
    assert (config.enable_model_warmup, config.num_request_iterations_for_warmup) == (True, 4)
    assert (config.prefer_tflite_model, config.num_tflite_pools) == (True, 6)
    assert config.enable_per_model_batching_parameters
    assert config.notes == ()


def test_what_has_no_effect_is_said():
    text = platform('session_target: "grpc://x" enable_session_metadata: true') + platform("", "scikit")
    assert parse_platform_config(text, "f").notes == (
        "--platform_config_file: platform scikit is not served",
        "--platform_config_file: session_target has no effect here",
        "--platform_config_file: enable_session_metadata has no effect here",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "Invalid protobuf file: 'f'"),
        (platform("no_such_field: 1"), "Invalid protobuf file: 'f'"),
        (platform("", adapter="type.googleapis.com/no.such.Adapter"), "Invalid protobuf file: 'f'"),
        ("", "'f' has no config for the platform 'tensorflow'"),
        (platform("", "other"), "'f' has no config for the platform 'tensorflow'"),
        (
            platform("value: 1", adapter="type.googleapis.com/google.protobuf.Int32Value"),
            "'f': the source_adapter_config of 'tensorflow' must be a tensorflow.serving.SavedModelBundle",
        ),
        (
            platform("batching_parameters { num_batch_threads { value: 0 } }"),
            "num_batch_threads must be positive",
        ),
    ],
)
def test_config_is_refused_with_the_reason_when_it_cannot_be_used(text, message):
    with pytest.raises(ServingError) as caught:
        parse_platform_config(text, "f")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(message)
