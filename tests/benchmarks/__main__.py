"""One command that measures us beside the limits and the peers: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.machine import pick_cores
from tests.benchmarks.models import make_models
from tests.benchmarks.side_by_side import Pace, measure_all
from tests.benchmarks.targets import Setting
from tests.benchmarks.workloads import WORKLOADS


def _arguments() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="two short turns each: for trying out, not for figures")
    parser.add_argument("--only", default=",".join(names))
    parser.add_argument("--peers", default="all")
    parser.add_argument("--peer-python", action="append", default=[])
    parser.add_argument("--models", type=Path)
    return parser.parse_args()


def main():
    told = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        models = told.models or Path(folder, "models")
        make_models(models)
        setting = Setting(Path(folder), pick_cores(True), dict(x.split("=",1) for x in told.peer_python))
        wl = [w for w in WORKLOADS if w.name in told.only.split(",")]
        f = measure_all(wl, models, setting, Pace(2, 2, 1), lambda n: told.peers == "all" or n in told.peers.split(","), lambda s: print(s, flush=True))
        print(f.absent)

main()
