"""`ModelConfig` values to and from ModelServerConfig: the message, its text format and its JSON.

A text that starts with a brace is JSON, any other is text format. The messages carry no TensorFlow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from google.protobuf import json_format, text_format

from jupyter_tfserve.codec.json_lines import json_lines, path_text, refused_path, repeated_name
from jupyter_tfserve.codec.protos import ModelServerConfig
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.lifecycle.config import TENSORFLOW, ModelConfig
from jupyter_tfserve.lifecycle.config_places import with_place
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific, VersionPolicy
from jupyter_tfserve.lifecycle.request_logging import fill_logging, logging_from_message

TENSORFLOW_MODEL_TYPE: Final = 1

_NESTED: Final = re.compile(r"^(?:Failed to (?:load JSON|parse \w+ field): )+")
"""What protobuf puts before a reason: a part for each level, of which the last ones are left out."""


def parse_config(text: str) -> tuple[ModelConfig, ...] | None:
    """The models that a config file lists; None if it says nothing (an empty file), which is no error.

    INVALID_ARGUMENT that names the line when it does not parse; else as `models_from_message`, the line in the hint.
    """
    message = ModelServerConfig()
    if text.lstrip().startswith("{"):
        _parse_json(text, message)
    else:
        _parse_text(text, message)
    try:
        return models_from_message(message)
    except ServingError as error:
        raise with_place(error, text, _refused_entry(message)) from None


def models_from_message(message: Any) -> tuple[ModelConfig, ...] | None:
    """The models of a ModelServerConfig; None if its oneof is unset.

    ServingError with upstream's texts for what can be seen in the message alone; `validate_models` does the
    rest.
    """
    kind = message.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one "
            "ModelConfigList to another.",
        )
    return tuple(_model_from_message(model) for model in message.model_config_list.config)


def models_from_reload(message: Any) -> tuple[ModelConfig, ...]:
    """The models of a HandleReloadConfigRequest's config, which must be a list."""
    if message.WhichOneof("config") != "model_config_list":
        raise invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    return models_from_message(message) or ()


def message_from_models(models: Iterable[ModelConfig]) -> Any:
    """The ModelServerConfig that lists `models`; `single_version` has no place in it."""
    message = ModelServerConfig()
    message.model_config_list.SetInParent()
    for model in models:
        entry = message.model_config_list.config.add(
            name=model.name, base_path=model.base_path, model_platform=model.platform
        )
        entry.version_labels.update(model.labels)
        _fill_policy(model.policy, entry.model_version_policy)
        if model.logging is not None:
            fill_logging(model.logging, entry.logging_config)
    return message


def json_from_models(models: Iterable[ModelConfig]) -> dict[str, Any]:
    """ModelServerConfig's JSON of `models`, with the names of the .proto file."""
    document: dict[str, Any] = json_format.MessageToDict(
        message_from_models(models), preserving_proto_field_name=True
    )
    return document


def models_from_json(document: object) -> tuple[ModelConfig, ...]:
    """The inverse of `json_from_models`; INVALID_ARGUMENT for anything else."""
    message = ModelServerConfig()
    try:
        json_format.ParseDict(document, message)
    except json_format.ParseError as error:
        _raise_unparsable("JSON", str(error))
    return models_from_message(message) or ()


def _parse_json(text: str, message: Any) -> None:
    try:
        json_format.Parse(text, message)
    except json_format.ParseError as error:
        _raise_unparsable("JSON", _place(text) + _NESTED.sub("", str(error)).rstrip("."))


def _place(text: str) -> str:
    """The line and the field that make a config of JSON unreadable; empty where the reason itself has the line."""
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    repeated = repeated_name(text)
    if repeated is not None:
        return f"line {repeated[1]}: "
    path = refused_path(document, _is_refused)
    line = dict(json_lines(text)).get(path)
    return "" if line is None else f"line {line}, {path_text(path)}: "


def _is_refused(document: object) -> bool:
    try:
        json_format.ParseDict(document, ModelServerConfig())
    except json_format.ParseError:
        return True
    return False


def _parse_text(text: str, message: Any) -> None:
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        _raise_unparsable("text-format", str(error))


def _raise_unparsable(form: str, reason: str) -> NoReturn:
    """The reason starts with `line:column`, or names the line and the field (JSON)."""
    lines = reason.splitlines() or [""]
    raise invalid_argument(f"Error parsing {form} tensorflow.serving.ModelServerConfig: {lines[0]}")


def _refused_entry(message: Any) -> int | None:
    """The first entry that is no model by itself; None if all are."""
    entries = message.model_config_list.config
    return next((index for index, entry in enumerate(entries) if not _is_model(entry)), None)


def _is_model(entry: Any) -> bool:
    try:
        _model_from_message(entry)
    except ServingError:
        return False
    return True


def _model_from_message(message: Any) -> ModelConfig:
    platform = _platform(message)
    return ModelConfig(
        name=message.name,
        base_path=message.base_path,
        policy=_policy(message.model_version_policy),
        labels=dict(message.version_labels),
        platform=platform,
        logging=logging_from_message(message),
    )


def _platform(message: Any) -> str:
    model_type: int = message.model_type
    platform: str = message.model_platform
    if model_type and platform:
        _raise_platform("both", "and", message.name)
    if platform:
        return platform
    if not model_type:
        _raise_platform("neither", "nor", message.name)
    if model_type != TENSORFLOW_MODEL_TYPE:
        raise invalid_argument(f"ModelServerConfig::model_type choice {model_type} not supported.")
    return TENSORFLOW


def _raise_platform(quantity: str, conjunction: str, name: str) -> NoReturn:
    raise invalid_argument(
        f"Illegal setting {quantity} ModelServerConfig::model_type (deprecated) {conjunction} "
        f"ModelServerConfig::model_platform, model name is {name}"
    )


def _policy(message: Any) -> VersionPolicy:
    match message.WhichOneof("policy_choice"):
        case "all":
            return All()
        case "specific":
            return Specific(tuple(message.specific.versions))
        case "latest":
            return Latest(message.latest.num_versions or 1)
        case _:
            return Latest()


def _fill_policy(policy: VersionPolicy, message: Any) -> None:
    match policy:
        case All():
            message.all.SetInParent()
        case Specific(versions):
            message.specific.SetInParent()
            message.specific.versions.extend(versions)
        case Latest(num_versions):
            message.latest.num_versions = num_versions
