"""One command that measures us beside the limits and the peers: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.chart import CPU, draw
from tests.benchmarks.experiments import EXPERIMENTS
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.lab import Lab
from tests.benchmarks.limits.targets import limit_targets
from tests.benchmarks.loads import NoLoad
from tests.benchmarks.machine import keep_off_servers, machine_words, pick_cores
from tests.benchmarks.models import make_models, read_model
from tests.benchmarks.peers.catalog import PEERS
from tests.benchmarks.peers.targets import peer_targets
from tests.benchmarks.report import Report, embed, read_report
from tests.benchmarks.serving import NotStarted
from tests.benchmarks.side_by_side import Findings, Pace, measure_all
from tests.benchmarks.stages import grpc_stages, rest_stages
from tests.benchmarks.targets import Setting, Target, our_target
from tests.benchmarks.workloads import STEADY_S, WORKLOADS, Workload

_PACE, _QUICK = Pace(1, 5, STEADY_S), Pace(1, 2, 1)
_NOTHING, _EVERYTHING = "none", "all"
_LOCAL = ("--peer-python", "--models", "--out", "--docs")
_OUR_MODELS = ("three_floats", "dense", "image", "compute", "jpeg", "strings")


def main(arguments: list[str]) -> int:
    """Measures what the command line asks for. 1 if there is nothing to show."""
    told = _parser().parse_args(arguments)
    if told.show is not None:
        report = read_report(told.show)
    else:
        command = shlex.join(["python", "-m", "tests.benchmarks", *_published(arguments)])
        with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as folder:
            report = _run(told, Path(folder), command)
        _say(report.as_markdown())
    if told.docs is not None:
        _write_docs(report, told.docs)
    return 0 if report.findings.results or report.stages or report.experiments else 1


def _run(told: argparse.Namespace, folder: Path, command: str) -> Report:
    began = time.monotonic()

    def say(text: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        _say(f"{minutes:02}:{seconds:02} {text}")

    pace = _QUICK if told.quick else Pace(told.seconds, told.repetitions, _PACE.warm_up_s)
    only = None if told.only is None else set(told.only.split(","))
    cores = pick_cores(pinned=not told.no_pinning)
    machine = machine_words(cores)
    models = (told.models or folder / "models").resolve()
    make_models(models)
    keep_off_servers(cores)
    pythons = dict(pair.split("=", 1) for pair in told.peer_python)
    setting = Setting(folder, models, cores, pythons)
    findings, experiments = Findings(), dict[str, Any]()
    stages = _stages(models) if only is None or "stages" in only else {}

    def report() -> Report:
        took = {"took": f"{(time.monotonic() - began) / 60:.0f} minutes"}
        return Report(command, machine | took, findings, stages, experiments)

    def write() -> None:
        if told.out is not None:
            report().write(told.out)
            _draw(findings, told.out)

    workloads = [_limited(one, told.connections) for one in WORKLOADS if only is None or one.name in only]
    if workloads:
        targets = [our_target(setting, _OUR_MODELS), *limit_targets(setting)]
        targets += peer_targets(setting, _chooser(told.peers))
        with Fleet(_taking_part(targets, workloads), say) as fleet:
            measure_all(workloads, fleet, pace, findings, say, write)
    lab = Lab(setting, pace, told.quick)
    for name, make in EXPERIMENTS.items():
        if only is None or name in only:
            say(f"experiment: {name}")
            experiments[name] = _experiment(make, lab)
            write()
    write()
    return report()


def _taking_part(targets: list[Target], workloads: list[Workload]) -> list[Target]:
    return [
        target
        for target in targets
        if any(target.takes(workload, count) for workload in workloads for count in workload.connections)
    ]


def _draw(findings: Findings, folder: Path) -> None:
    if findings.results:
        peers = frozenset(peer.name for peer in PEERS)
        draw(findings, peers, folder / "benchmark.svg")
        draw(findings, peers, folder / "benchmark_cpu.svg", CPU)


def _write_docs(report: Report, page: Path) -> None:
    """The run's part of the page, and its chart beside the page's other pictures."""
    chart = page.parent / "images" / "benchmark.svg"
    draw(report.findings, frozenset(peer.name for peer in PEERS), chart)
    block = f"![Requests a second, ours and others'](images/{chart.name})\n\n{report.as_docs()}"
    page.write_text(embed(page.read_text(), block))


def _parser() -> argparse.ArgumentParser:
    names = [*(workload.name for workload in WORKLOADS), *EXPERIMENTS, "stages"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two turns of a second each, and small sizes: to try it, not for figures",
    )
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--peers",
        default=_EVERYTHING,
        help="`all` that are installed, `none`, or their names: " + _peer_names(),
    )
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="PACKAGE=PATH",
        help="the interpreter of a peer that is not installed in this one, by its package",
    )
    parser.add_argument(
        "--connections", metavar="N,…", help="only these numbers of connections, where asked with any"
    )
    parser.add_argument("--repetitions", type=int, default=_PACE.repetitions, help="turns of each target")
    parser.add_argument("--seconds", type=float, default=_PACE.seconds, help="of each turn")
    parser.add_argument("--no-pinning", action="store_true", help="let server and load share all cores")
    parser.add_argument("--models", type=Path, help="keep the models in this folder for the next run")
    parser.add_argument("--out", type=Path, help="write JSON, Markdown and charts here, after each workload")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="PAGE",
        help="write the run's part of this page, and its chart into images/",
    )
    parser.add_argument(
        "--show", type=Path, metavar="JSON", help="measure nothing: a run's benchmark.json, for --docs"
    )
    return parser


def _limited(workload: Workload, connections: str | None) -> Workload:
    if connections is None:
        return workload
    kept = tuple(count for count in workload.connections if str(count) in connections.split(","))
    kept = kept or workload.connections[-1:]
    return replace(workload, connections=kept)


def _peer_names() -> str:
    return "; ".join(peer.name for peer in PEERS)


def _chooser(peers: str) -> Callable[[str], bool]:
    if peers in (_NOTHING, _EVERYTHING):
        return lambda _name: peers == _EVERYTHING
    names = {name.strip() for name in peers.split(";")}
    return lambda name: name in names


def _stages(models: Path) -> dict[str, dict[str, float]]:
    floats, dense, image = (read_model(models, name) for name in ("three_floats", "dense", "image"))
    return {
        "3 floats, REST": rest_stages(floats),
        "dense row, REST": rest_stages(dense),
        "image, JSON": rest_stages(image),
        "3 floats, gRPC": grpc_stages(floats, False),
        "image, gRPC float_val": grpc_stages(image, False),
        "image, gRPC tensor_content": grpc_stages(image, True),
    }


def _experiment(make: Callable[[Lab], dict[str, Any]], lab: Lab) -> dict[str, Any]:
    try:
        return make(lab)
    except (NotStarted, NoLoad, OSError, httpx.HTTPError, ValueError, LookupError) as error:
        # Whatever one of them meets, the others are still to be told.
        return {"failed": str(error) or type(error).__name__}


def _published(arguments: list[str]) -> list[str]:
    """The command without what holds for one machine only."""
    published: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument in _LOCAL:
            next(left, None)
        elif not argument.startswith(tuple(f"{flag}=" for flag in _LOCAL)):
            published.append(argument)
    return published


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    # So that a run that is ended ends the servers it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(sys.argv[1:]))
