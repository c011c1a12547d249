"""The commands of `%tfserve` and what may stand after each. Pure."""

from __future__ import annotations

import argparse
import keyword
from collections.abc import Callable, Mapping
from typing import Final

from jupyter_tfserve.client.programs import LANGUAGES
from jupyter_tfserve.notebook.addresses import Via
from jupyter_tfserve.notebook.amounts import (
    DEFAULT_EXPIRY,
    NEVER,
    parse_duration,
    parse_load,
    parse_milliseconds,
    parse_rate,
)
from jupyter_tfserve.notebook.batching import NAMES
from jupyter_tfserve.notebook.line_parser import LineParser
from jupyter_tfserve.notebook.tune import TUNE_S
from jupyter_tfserve.types import parse_version

PER_GPU: Final = "gpus"
AS_STARTED: Final = "default"


def _port(text: str) -> int:
    port = parse_version(text)
    if port is None or port > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number up to 65535")
    return port


def _version(text: str) -> int:
    version = parse_version(text)
    if version is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version: versions are whole numbers")
    return version


def _count(text: str) -> int:
    count = parse_version(text)
    if not count:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count: a whole number from 1")
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 1 to 600 seconds")
    return seconds


def _label_move(text: str) -> tuple[str, int]:
    label, _, number = text.partition("=")
    if not label or not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VERSION, such as production=2")
    return label, _version(number)


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def _start(parser: LineParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="folder of models, or of one model's versions"
    )
    parser.add_argument("--name", help="another name for a single model")
    parser.add_argument("--rest-port", type=_port, help="REST port; 8501, or a free one if that is taken")
    parser.add_argument("--grpc-port", type=_port, help="gRPC port; 8500, or a free one if that is taken")
    parser.add_argument(
        "--require-keys", action="store_true", help="answer only who shows a key that `%%tfserve share` made"
    )


def _nothing(parser: LineParser) -> None:
    """The sub-command takes no arguments."""


def _save(parser: LineParser) -> None:
    parser.add_argument("obj", metavar="OBJ", help="a Keras model, tf.Module or tf.function of this notebook")
    parser.add_argument(
        "--name", help="the model to add a version to; may be left out when there is only one"
    )
    parser.add_argument("--label", help="label that names the new version once it is available")
    parser.add_argument(
        "--like",
        metavar="EXPR",
        help="example rows: they give the object its signature, and check and warm up the version",
    )
    parser.add_argument("--no-warmup", action="store_true", help="keep no example rows beside the model")


def _label(parser: LineParser) -> None:
    parser.add_argument("move", type=_label_move, metavar="NAME=VERSION", help="for example production=2")
    _model(parser)


def _unlabel(parser: LineParser) -> None:
    parser.add_argument("label", metavar="NAME", help="the label to take away")
    _model(parser)


def _versions(parser: LineParser) -> None:
    parser.add_argument("kind", choices=("all", "latest", "specific"), help="which versions to serve")
    parser.add_argument("numbers", nargs="*", type=_version, metavar="N", help="how many, or which ones")
    _model(parser)


def _query(parser: LineParser) -> None:
    parser.add_argument("target", metavar="MODEL[@LABEL|/VERSION]", help="whom to ask")
    parser.add_argument(
        "--signature", default="", metavar="NAME", help="another signature than serving_default"
    )
    parser.add_argument(
        "-o", "--output", type=_variable, metavar="NAME", help="variable that the answer is kept in, as numpy"
    )


def _compare(parser: LineParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar="MODEL[@LABEL|/VERSION]", help="whom to compare")
    parser.add_argument("--on", required=True, metavar="X[,y]", help="rows, and the true values if known")
    parser.add_argument("--output", metavar="NAME", help="which output, if there are several")
    parser.add_argument("--limit", type=_count, default=2000, metavar="N", help="rows at most; 2000")


def _bench(parser: LineParser) -> None:
    parser.add_argument("target", metavar="MODEL[@LABEL|/VERSION]", help="whom to load")
    parser.add_argument("--on", metavar="EXPR", help="the rows of each request; one real row if left out")
    parser.add_argument("--direct", metavar="OBJ", help="the same model in this notebook, timed beside it")
    parser.add_argument("--seconds", type=_seconds, default=12.0, metavar="S", help="in all; 12")


def _snippet(parser: LineParser) -> None:
    parser.add_argument("target", nargs="?", metavar="MODEL[@LABEL|/VERSION]", help="whom to ask")
    parser.add_argument("--lang", choices=LANGUAGES, help="one language; all of them if left out")
    parser.add_argument("--row", metavar="EXPR", help="rows of this notebook, of which the first is sent")
    parser.add_argument(
        "--via", choices=[way.value for way in Via], help="from this host, or through Jupyter's address"
    )


def _logs(parser: LineParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="show new lines until interrupted")
    parser.add_argument("-n", "--lines", type=_count, default=50, metavar="N", help="how many lines; 50")


def _history(parser: LineParser) -> None:
    parser.add_argument("-n", "--limit", type=_count, default=20, metavar="N", help="how many events; 20")


def _config(parser: LineParser) -> None:
    parser.add_argument("path", metavar="FILE", help="ModelServerConfig, as text proto or JSON")


def _duration(text: str) -> str:
    if text != NEVER:
        _checked(parse_duration, text)
    return text


def _rate(text: str) -> str:
    _checked(parse_rate, text)
    return text


def _checked(parse: Callable[[str], float], text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not MODEL or MODEL,MODEL")
    return names


def _share(parser: LineParser) -> None:
    parser.add_argument("models", type=_names, metavar="MODEL[,MODEL]", help="what the key opens; * for all")
    parser.add_argument("--name", default="", help="whom the key is for, to find it again")
    parser.add_argument(
        "--expires", type=_duration, default=DEFAULT_EXPIRY, metavar="TIME", help="30m, 2h, 7d or never; 24h"
    )
    parser.add_argument("--rate", type=_rate, metavar="N/s", help="requests at most: 5/s, 100/m")
    parser.add_argument("--burst", type=_count, metavar="N", help="requests at once; one second's worth")


def _unshare(parser: LineParser) -> None:
    parser.add_argument("key", metavar="ID", help="the key's id, as `%%tfserve keys` shows it")


def _limit(parser: LineParser) -> None:
    parser.add_argument("name", metavar="MODEL", help="whose requests")
    parser.add_argument(
        "limits", nargs="+", metavar="LIMIT", help="100/s, burst=20, in_flight=8, slow_start=30s; or off"
    )


def _one_version(parser: LineParser) -> None:
    parser.add_argument("version", type=_version, metavar="VERSION", help="the version's number")
    _model(parser)


def _latency(text: str) -> float:
    _checked(parse_milliseconds, text)
    return parse_milliseconds(text)


def _load_rate(text: str) -> float:
    _checked(parse_load, text)
    return parse_load(text)


def _tune(parser: LineParser) -> None:
    parser.add_argument("target", metavar="MODEL[@LABEL|/VERSION]", help="whom to load")
    parser.add_argument("--p99", type=_latency, metavar="TIME", help="what 99 of 100 requests may take: 20ms")
    parser.add_argument("--rate", type=_load_rate, metavar="N", help="requests a second that it must hold at")
    parser.add_argument("--on", metavar="EXPR", help="the rows of each request; one real row if left out")
    parser.add_argument("--seconds", type=_seconds, default=TUNE_S, metavar="S", help="in all; 30")
    parser.add_argument("--apply", action="store_true", help="keep the settings that were best")


def _batching(parser: LineParser) -> None:
    parser.add_argument("name", metavar="MODEL", help="whose batches")
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE",
        help=f"{', '.join(NAMES)}; NAME= takes one back, off all of them",
    )
    parser.add_argument("--signature", metavar="KEY", help="for this signature only")


def _replica_count(text: str) -> int | None:
    """As `Server.replicas` has it."""
    if text == AS_STARTED:
        return None
    return 0 if text == PER_GPU else _count(text)


def _replicas(parser: LineParser) -> None:
    parser.add_argument(
        "count",
        type=_replica_count,
        metavar="N",
        help=f"processes for each version; {PER_GPU}: one for each GPU; {AS_STARTED}: as the server was started",
    )
    _model(parser)


def _panel(parser: LineParser) -> None:
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="the model to show first; all can be chosen"
    )


def _model(parser: LineParser) -> None:
    parser.add_argument("--model", help="may be left out when only one model is served")


SUBCOMMANDS: Final[Mapping[str, tuple[str, Callable[[LineParser], None]]]] = {
    "start": ("Start the model server, or show the one that runs; serve the models under PATH.", _start),
    "status": ("Show the server's models, versions, labels and addresses.", _nothing),
    "panel": ("Show a live panel: versions, labels, traffic, log, with controls.", _panel),
    "stop": ("Stop the server; your files stay.", _nothing),
    "save": ("Save OBJ as the next version of a model, check it, and wait until it is served.", _save),
    "label": ("Point a label at a version; requests follow at once.", _label),
    "unlabel": ("Take a label away.", _unlabel),
    "versions": ("Choose the versions to serve: all, latest N, or specific 1 2.", _versions),
    "load": ("Serve one more version, or try one again that failed.", _one_version),
    "unload": ("Serve one version less.", _one_version),
    "rollback": ("Undo the last change of a label or of the served versions.", _model),
    "limit": (
        "Bound what may be asked of a model: 100/s burst=20 in_flight=8 slow_start=30s, or off.",
        _limit,
    ),
    "batching": ("Show or change how a model's requests are batched, live.", _batching),
    "replicas": ("Choose how many processes serve each version of a model, live.", _replicas),
    "tune": ("Try batch settings under load; recommend one for a latency goal.", _tune),
    "share": ("Make a key for others: it opens MODEL for a time, at a rate.", _share),
    "keys": ("Show the keys that were made.", _nothing),
    "unshare": ("Revoke a key, at once.", _unshare),
    "config": ("Serve what a ModelServerConfig file says, and nothing else.", _config),
    "history": ("Show what happened: loads, labels, policies, errors.", _history),
    "logs": ("Show the server's log; -f follows it until the cell is interrupted.", _logs),
    "doctor": ("Look for what is wrong around the server; each finding with its fix.", _nothing),
    "query": ("Cell magic: send the cell's rows (JSON or Python); shows a table, returns numpy.", _query),
    "compare": ("Set two versions side by side: scores, agreement, worst rows, latency.", _compare),
    "bench": ("Measure a model under load: latency histogram, throughput curve.", _bench),
    "snippet": ("Write clients for a model: curl, PowerShell, Python, Node.js, gRPC.", _snippet),
}
