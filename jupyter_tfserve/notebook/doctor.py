"""`%tfserve doctor`: what may be wrong around a model server, and the step that mends each. Pure.

A check is a function of facts to findings; `surroundings` collects the facts.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jupyter_tfserve.notebook.device_view import describe_device
from jupyter_tfserve.notebook.surroundings import Surroundings
from jupyter_tfserve.worker.cpus import allowed_cpus

OLDEST_TENSORFLOW: Final = (2, 18)
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost")
HELD_MIB: Final = 1024
"""A kernel with so much of a GPU leaves too little for served models on small ones."""


class Health(enum.Enum):
    """How bad a finding is; its sign is for text and screen readers alike."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` is the next step, empty when there is none to take."""

    health: Health
    subject: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        """`problem  ports: …`, and the fix below."""
        fix = f"\n{'':9}Fix: {self.fix}" if self.fix else ""
        return f"{self.health.value:<8} {self.subject}: {self.text}{fix}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, problems first."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Those that keep something from working."""
        return tuple(finding for finding in self.findings if finding.health is Health.BAD)

    def __str__(self) -> str:
        """A line for each finding, and one for its fix."""
        return "\n".join(str(finding) for finding in self.findings)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = "".join(_row(finding) for finding in self.findings)
        return {"text/plain": str(self), "text/html": f"<table><tbody>{rows}</tbody></table>"}


def diagnose(facts: Surroundings) -> Diagnosis:
    """Every check's findings, the worst first."""
    findings = [finding for check in CHECKS for finding in check(facts)]
    order = (Health.BAD, Health.NOTE, Health.GOOD)
    return Diagnosis(tuple(sorted(findings, key=lambda finding: order.index(finding.health))))


def check_engine(facts: Surroundings) -> Iterator[Finding]:
    """Whether a server runs and answers."""
    if facts.engine_problem:
        yield Finding(Health.BAD, "server", facts.engine_problem, "%tfserve logs, then %tfserve start")
    elif facts.engine is None:
        yield Finding(
            Health.NOTE, "server", "no model server runs for this notebook", "%tfserve start ./saved_models"
        )
    else:
        text = f"version {facts.engine.version} runs as process {facts.engine.pid}, kept by {facts.owner}"
        yield Finding(Health.GOOD, "server", text)


def check_models(facts: Surroundings) -> Iterator[Finding]:
    """Versions that did not load, folders that cannot be used, labels without their version."""
    for model in facts.models:
        if model.problem:
            yield Finding(Health.BAD, f"model {model.name}", model.problem, f"look into {model.base_path}")
        for version in model.versions:
            if version.error:
                text = f"version {version.version} does not load: {version.error}"
                yield Finding(Health.BAD, f"model {model.name}", text, "save it again, or %tfserve logs")
        up = {version.version for version in model.versions if version.state == "AVAILABLE"}
        for label, number in model.labels.items():
            if number not in up:
                text = f"label {label} names version {number}, which is not served"
                fix = f"%tfserve load {number} --model {model.name}"
                yield Finding(Health.BAD, f"model {model.name}", text, fix)


def check_ports(facts: Surroundings) -> Iterator[Finding]:
    """Whether the usual ports are the server's own, and who else has them."""
    for protocol, port, actual in facts.ports:
        holder = facts.port_holders.get(port)
        if actual == port:
            yield Finding(Health.GOOD, f"{protocol} port", str(port))
        elif actual is not None:
            by = f", since {holder} has {port}" if holder else ""
            fix = f"%tfserve stop, end the other program, %tfserve start --{protocol.lower()}-port {port}"
            yield Finding(Health.NOTE, f"{protocol} port", f"{actual}{by}", fix if holder else "")
        elif holder:
            text = f"{port} is taken by {holder}; a start gets a free port instead"
            yield Finding(Health.NOTE, f"{protocol} port", text, f"end {holder} to have {port}")


def check_gpu(facts: Surroundings) -> Iterator[Finding]:
    """Which GPUs the server uses, and who holds their memory: a kernel with TensorFlow takes nearly all."""
    devices = () if facts.engine is None else facts.engine.devices
    for device in devices:
        yield Finding(Health.GOOD, device.name, describe_device(device))
    if facts.gpu_processes is None:
        yield from [] if devices else [Finding(Health.GOOD, "GPU", "none here; models run on the CPUs")]
        return
    if facts.engine is not None and not devices:
        fix = "%pip install 'tensorflow[and-cuda]' where the server runs, then restart the server"
        yield Finding(
            Health.NOTE, "GPU", "the driver is here, but the server's TensorFlow has found no GPU", fix
        )
    for process in facts.gpu_processes:
        if process.pid in facts.engine_pids or process.used_mib < HELD_MIB:
            continue
        is_own = process.pid == facts.own_pid
        who = "this kernel" if is_own else f"process {process.pid}"
        fix = (
            "restart that kernel when it is done"
            if not is_own
            else (
                'set TF_FORCE_GPU_ALLOW_GROWTH=true before the import of TensorFlow, or CUDA_VISIBLE_DEVICES="" to '
                "leave the GPU to the server; then restart the kernel"
            )
        )
        yield Finding(Health.BAD, "GPU", f"{who} holds {process.used_mib} MiB of its memory", fix)


def check_cpus(facts: Surroundings) -> Iterator[Finding]:
    """Whether the container lets a kernel use as many CPUs as its TensorFlow will see."""
    quota, seen = facts.cpu_quota, facts.cpu_count
    threads = allowed_cpus(seen, quota)
    if quota is not None and threads < seen:
        allowed = f"the container may use {quota:g} of the {seen} CPUs"
        text = f"{allowed}; the server keeps to that, TensorFlow in a kernel does not"
        fix = f"tf.config.threading.set_intra_op_parallelism_threads({threads}) before the kernel's first operation"
        yield Finding(Health.NOTE, "CPUs", text, fix)
    else:
        yield Finding(Health.GOOD, "CPUs", f"{seen}")


def check_packages(facts: Surroundings) -> Iterator[Finding]:
    """Whether TensorFlow and Keras are there and fit each other."""
    tensorflow, keras = facts.packages.get("tensorflow"), facts.packages.get("keras")
    if tensorflow is None:
        yield Finding(
            Health.BAD, "TensorFlow", "it is not installed in this kernel", "%pip install tensorflow"
        )
    elif _numbers(tensorflow) < OLDEST_TENSORFLOW:
        oldest = ".".join(str(number) for number in OLDEST_TENSORFLOW)
        fix = f"%pip install 'tensorflow>={oldest}'"
        yield Finding(Health.BAD, "TensorFlow", f"{tensorflow} is older than {oldest}", fix)
    else:
        yield Finding(Health.GOOD, "TensorFlow", tensorflow)
    wants_old = facts.environment.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if wants_old and "tf_keras" not in facts.packages:
        text = "TF_USE_LEGACY_KERAS is set, but tf_keras is not installed"
        yield Finding(Health.BAD, "Keras", text, "%pip install tf_keras, or unset the variable")
    elif keras is not None and _numbers(keras) < (3,):
        fix = "%pip install 'keras>=3'"
        yield Finding(Health.BAD, "Keras", f"{keras} has no `export` that can be served", fix)
    elif keras is not None:
        yield Finding(Health.GOOD, "Keras", keras)


def check_proxy(facts: Surroundings) -> Iterator[Finding]:
    """Whether clients on this host would send requests for it to a proxy."""
    environment = {name.lower(): value for name, value in facts.environment.items()}
    if not (environment.get("http_proxy") or environment.get("all_proxy")):
        return
    spared = [name.strip() for name in environment.get("no_proxy", "").split(",")]
    if "*" in spared or any(name in spared for name in LOOPBACK_NAMES):
        yield Finding(Health.GOOD, "proxy", "http_proxy is set and spares this host")
    else:
        text = "http_proxy is set: curl and other clients would send requests for 127.0.0.1 to the proxy"
        yield Finding(Health.BAD, "proxy", text, "%env no_proxy=127.0.0.1,localhost")


def check_jupyter(facts: Surroundings) -> Iterator[Finding]:
    """Whether the Jupyter server keeps the engine and passes requests on, below which prefix."""
    if facts.jupyter_problem:
        fix = "install jupyter_tfserve where the Jupyter server runs, then restart that server"
        yield Finding(
            Health.NOTE, "Jupyter", f"the kernel keeps its own engine: {facts.jupyter_problem}", fix
        )
    elif facts.jupyter_url:
        prefix = facts.environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
        text = f"requests pass at {facts.jupyter_url}"
        if prefix and prefix.rstrip("/") not in facts.jupyter_url:
            fix = "restart the server from the hub's control panel"
            yield Finding(Health.BAD, "Jupyter", f"{text}, but the hub's prefix is {prefix}", fix)
        else:
            yield Finding(Health.GOOD, "Jupyter", text)


def check_stale_files(facts: Surroundings) -> Iterator[Finding]:
    """Connection files of engines that are gone."""
    for path in facts.stale_files:
        text = f"{path.name} is of an engine that is gone"
        yield Finding(Health.NOTE, "connection file", text, f"delete {path}")


CHECKS: Final[tuple[Callable[[Surroundings], Iterator[Finding]], ...]] = (
    check_engine,
    check_models,
    check_ports,
    check_jupyter,
    check_proxy,
    check_gpu,
    check_cpus,
    check_packages,
    check_stale_files,
)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `2.21.0rc1` is (2, 21)."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _row(finding: Finding) -> str:
    colours = {Health.GOOD: "#2e7d32", Health.NOTE: "#b26a00", Health.BAD: "#c62828"}
    fix = f"<br><em>Fix:</em> {escape(finding.fix)}" if finding.fix else ""
    left = "text-align:left;vertical-align:top"
    return (
        f"<tr><td style='{left};color:{colours[finding.health]}'>{finding.health.value}</td>"
        f"<td style='{left}'>{escape(finding.subject)}</td><td style='{left}'>{escape(finding.text)}{fix}</td></tr>"
    )
