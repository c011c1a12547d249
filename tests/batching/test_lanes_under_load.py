"""The scheduler on a machine of virtual time: what batches it forms, and what callers wait, by models and processors.

Figures are exact there, so that a bound here is a bound on the policy, whatever else this machine does.
"""

from __future__ import annotations

import pytest

from jupyter_tfserve.batching.overlap import Turns
from jupyter_tfserve.options import BatchOptions
from tests.batching.simulated_machine import Costs, Simulation, compute_bound, percentile

COMPUTE = Costs(compute_bound)
HALF_LOAD = 1000.0


def test_callers_of_a_compute_bound_model_share_one_batch() -> None:
    """Batches near 64 that alternate with the engine's own work are the best that 64 callers of one core can have."""
    simulation = Simulation(COMPUTE)
    simulation.closed(64, 1.5)
    rate = simulation.closed(64, 1.5)
    batch_and_engine_s = compute_bound(64) + 64 * (COMPUTE.before_s + COMPUTE.after_s) + COMPUTE.merge_s
    assert rate > 0.9 * 64 / batch_and_engine_s
    assert simulation.scheduler.turns is Turns.GATHERING


@pytest.mark.parametrize("cpus", [1.0, 2.0, 8.0])
def test_no_two_batches_compute_at_once_when_one_keeps_all_processors_busy(cpus: float) -> None:
    simulation = Simulation(Costs(compute_bound, threads=cpus), cpus)
    simulation.open(HALF_LOAD, 1.0)
    ran = simulation.machine.ran[3:]
    assert sum(batch.others for batch in ran) <= 0.02 * len(ran)


@pytest.mark.parametrize("scatter", [0.0, 0.15])
def test_tail_at_half_load_is_two_batches_and_not_four(scatter: float) -> None:
    """A request waits for the batch that runs and for its own: at half load, 5 ms each on this machine."""
    simulation = Simulation(Costs(compute_bound, scatter=scatter))
    latencies = simulation.open(HALF_LOAD, 3.0)
    assert percentile(latencies, 50) < 0.009
    assert percentile(latencies, 99) < 0.013


def test_nobody_is_gathered_at_times_of_their_own() -> None:
    simulation = Simulation(COMPUTE)
    simulation.open(HALF_LOAD, 3.0)
    assert {batch.turns for batch in simulation.machine.ran} <= {Turns.SIDE_BY_SIDE, Turns.ONE_AT_A_TIME}


def test_callers_who_came_in_a_loop_are_not_waited_for_once_they_come_at_random() -> None:
    simulation = Simulation(COMPUTE)
    simulation.closed(64, 2.0)
    assert simulation.scheduler.turns is Turns.GATHERING
    latencies = simulation.open(HALF_LOAD, 2.0)
    assert simulation.scheduler.turns is Turns.ONE_AT_A_TIME
    assert percentile(latencies, 99) < 0.014


def test_lanes_run_side_by_side_when_the_model_waits_for_something_else() -> None:
    """A batch that sleeps 20 ms leaves the processor to others: one at a time a request would wait up to 40."""
    simulation = Simulation(Costs(lambda _rows: 0.020, busy=0.02))
    simulation.open(500, 1.0)
    assert simulation.scheduler.turns is Turns.SIDE_BY_SIDE
    assert percentile(simulation.open(500, 2.0), 50) < 0.029


def test_idle_lanes_share_what_waits_when_they_do_not_compete() -> None:
    """A model of one thread on two processors: both have half of the callers each."""
    simulation = Simulation(Costs(compute_bound, threads=1.0), cpus=2.0)
    simulation.closed(64, 1.0)
    one_at_a_time = 32 / (compute_bound(32) + COMPUTE.merge_s)
    assert simulation.closed(64, 1.0) > 1.05 * one_at_a_time
    assert simulation.scheduler.turns is Turns.SIDE_BY_SIDE


@pytest.mark.parametrize("batch_s", [compute_bound, lambda rows: 0.008, lambda rows: 0.0005 + 0.0002 * rows])
def test_every_request_is_answered_whatever_the_model_costs(batch_s) -> None:
    simulation = Simulation(Costs(batch_s, scatter=0.3))
    simulation.closed(64, 0.5)
    assert simulation.open(300, 0.5)
    assert simulation.scheduler.statistics().waiting_tasks == 0
    assert sum(batch.rows for batch in simulation.machine.ran) == len(simulation.machine.latencies)


def test_as_many_batches_run_at_once_as_were_asked_for_by_upstreams_rules() -> None:
    options = BatchOptions(strict=True, verify=False, max_batch_size=8, max_enqueued_batches=100)
    simulation = Simulation(COMPUTE, options=options)
    simulation.closed(64, 0.5)
    assert {batch.turns for batch in simulation.machine.ran} == {Turns.SIDE_BY_SIDE}
    assert max(batch.others for batch in simulation.machine.ran) == 1


def test_ten_times_the_load_makes_neither_batches_nor_the_line_grow() -> None:
    """8 ms for each row, whatever its company: a second of waiting is 125 rows, and no batch needs more than 64."""
    options = BatchOptions(verify=False, max_queue_wait_ms=1000)
    costs = Costs(lambda rows: 0.008 * rows, threads=2.0, scatter=0.3)
    simulation = Simulation(costs, cpus=2.0, options=options)
    simulation.closed(64, 3.0)
    latencies = simulation.open(1250, 20.0)
    assert max(batch.rows for batch in simulation.machine.ran) <= 128
    assert percentile(latencies, 99) < 1.0 + 2 * 128 * 0.008
    assert len(latencies) > 0.85 * 125 * 20
