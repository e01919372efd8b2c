"""Confidence sets, windows and schedules of the average-reward learners."""

import math

import numpy as np
import pytest

from theoryrl import play
from theoryrl.instances import average_riverswim, flipping_riverswim
from theoryrl.learners import (
    BORL,
    KLUCRL,
    SWUCRL,
    SWUCRL2CW,
    UCRL2,
    UCRL2B,
    AveragePSRL,
    OracleRestarts,
    UCRL2Restarts,
)
from theoryrl.learners.baselines.average.restarts import restart_time
from theoryrl.protocol import AverageSpec, Run, as_problem
from theoryrl.solvers.average.simulation import Steps

RIVER = average_riverswim(3)


def state_after(learner, rounds=400, seed=0):
    run = Run(as_problem(RIVER), learner, rounds, seed).advance()
    return run.state, run.trace


def test_radii_of_ucrl2_are_those_of_the_paper():
    learner = UCRL2(delta=0.1)
    state, _ = state_after(learner)
    found = learner.confidence_set(state)
    N, t = np.maximum(1, state.N), 401
    np.testing.assert_allclose(found.reward_radius, np.sqrt(7 * math.log(2 * 3 * 2 * t / 0.1) / (2 * N)))
    np.testing.assert_allclose(found.radius, np.sqrt(14 * 3 * math.log(2 * 2 * t / 0.1) / N))


def test_laplace_radii_are_narrower_where_there_are_data():
    wide, narrow = UCRL2(delta=0.1), UCRL2(delta=0.1, radius="laplace")
    state, _ = state_after(wide)
    many = state.N > 20
    assert (narrow.confidence_set(state).radius[many] < wide.confidence_set(state).radius[many]).all()
    n = int(state.N[0, 1])
    expected = math.sqrt((1 + 1 / n) * math.log(4 * 6 * math.sqrt(n + 1) / 0.1) / (2 * n))
    assert narrow.confidence_set(state).reward_radius[0, 1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("learner", [UCRL2(), UCRL2B(), KLUCRL(), SWUCRL2CW()])
def test_the_factor_multiplies_every_radius(learner):
    doubled = type(learner)(bonus_scale=2.0)
    state, _ = state_after(learner, 300)
    for name in ("reward_radius", "radius"):
        np.testing.assert_allclose(
            getattr(doubled.confidence_set(state), name), 2 * getattr(learner.confidence_set(state), name)
        )


def test_counts_are_those_of_the_run():
    state, trace = state_after(UCRL2(), 500)
    s, a = (trace.diagnostics[name].astype(int) for name in ("state", "action"))
    N, R = np.zeros((3, 2), dtype=int), np.zeros((3, 2))
    np.add.at(N, (s, a), 1)
    np.add.at(R, (s, a), trace.diagnostics["reward"])
    np.testing.assert_array_equal(state.N, N)
    np.testing.assert_array_equal(state.R, R)
    np.testing.assert_array_equal(state.T.sum(axis=-1), N)


@pytest.mark.parametrize("window", [1, 37, 500])
def test_a_window_holds_the_last_steps_only(window):
    state, trace = state_after(SWUCRL(window=window))
    s, a = (trace.diagnostics[name].astype(int)[-window:] for name in ("state", "action"))
    N, R = np.zeros((3, 2), dtype=int), np.zeros((3, 2))
    np.add.at(N, (s, a), 1)
    np.add.at(R, (s, a), trace.diagnostics["reward"][-window:])
    np.testing.assert_array_equal(state.N, N)
    np.testing.assert_array_equal(state.R, R)


def test_the_default_window_minimises_its_bound():
    spec = AverageSpec(3, 2, 10**9)
    state = SWUCRL(delta=0.05).init(AverageSpec(3, 2, 1000), np.random.default_rng(0))
    assert len(state.extra.rewards) == 1000
    W = (16.53 * 1e9 * 3 * math.sqrt(2 * math.log(1e9 / 0.05))) ** (2 / 3)

    def bound(w):
        return 2 * w + 66.12 * spec.rounds / math.sqrt(w) * 3 * math.sqrt(2 * math.log(1e9 / 0.05))

    assert bound(W) <= min(bound(0.99 * W), bound(1.01 * W))


def restarts_of(learner, rounds=300):
    restarts = play(flipping_riverswim(3, 300, 2), learner, rounds, 0).diagnostics["restarts"]
    return (np.flatnonzero(np.diff(restarts)) + 1).tolist()


def test_the_oracle_restarts_at_the_changes():
    assert restarts_of(OracleRestarts(change_points=(100, 200))) == [100, 200]


def test_scheduled_restarts_follow_the_cubes():
    times = sorted({restart_time(i, 3) for i in range(1, 14)})
    assert [t for t in times if t < 300] == restarts_of(UCRL2Restarts(changes=3))
    assert [restart_time(i, 2) for i in (1, 2, 3, 4)] == [1, 2, 7, 16]


def test_the_oracles_levels_sum_to_delta():
    learner = OracleRestarts(change_points=(100, 200))
    state = learner.init(AverageSpec(3, 2, 300), np.random.default_rng(0))
    total = 0.0
    for life in range(1, 1000):
        state.life = life
        total += learner.level(state)
    assert 0.999 * 0.05 < total + 0.05 / 1000 <= 0.05 * (1 + 1e-12)


def test_change_points_of_the_oracle_increase():
    with pytest.raises(ValueError, match=r"change_points\[1\] must be at least 6"):
        OracleRestarts(change_points=(5, 5))


def test_blocks_of_the_bandit_have_equal_lengths_and_their_own_windows():
    learner = BORL()
    run = Run(as_problem(RIVER), learner, 2000, 0).advance()
    restarts = run.trace.diagnostics["restarts"]
    H = run.state.extra.length
    assert (np.flatnonzero(np.diff(restarts)) + 1).tolist() == list(range(H, 2000, H))
    assert run.state.extra.chances.sum() == pytest.approx(1.0)
    assert run.state.extra.log_weights.max() > 0


def test_posterior_episodes_grow_by_one_step_at_most():
    trace = play(RIVER, AveragePSRL(), 800, 0)
    lengths = np.bincount(trace.diagnostics["episode"].astype(int))[:-1]
    assert (np.diff(lengths) <= 1).all()


def test_posterior_sampling_learns():
    """Regret of a policy that knows nothing would be about .44 T."""
    assert play(RIVER, AveragePSRL(), 20_000, 0).final_regret < 0.05 * 20_000


def test_widening_and_rows_of_the_empty_history():
    learner = SWUCRL2CW(widening=0.3, window=50)
    state = learner.init(AverageSpec(3, 2, 1000), np.random.default_rng(0))
    found = learner.confidence_set(state)
    L = math.log(3 * 2 * 1000 / 0.05)
    np.testing.assert_allclose(found.radius, 2 * math.sqrt(2 * 3 * L) + 0.3)
    np.testing.assert_array_equal(found.P, np.full((3, 2, 3), 1 / 3))


def test_a_window_gives_back_what_it_took():
    state = SWUCRL(window=4).init(AverageSpec(2, 1, 100), np.random.default_rng(0))
    steps = Steps(np.array([0, 1, 0, 1, 0, 0]), np.zeros(5, dtype=np.int64), np.array([1.0, 0.5, 0.25, 0, 1]))
    state.extra.add(state, steps)
    np.testing.assert_array_equal(state.N, [[2], [2]])
    np.testing.assert_array_equal(state.R, [[1.25], [0.5]])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: UCRL2(delta=1.0), "delta must be in"),
        (lambda: UCRL2(radius="other"), "radius must be one of"),
        (lambda: SWUCRL(window=0), "window must be at least 1"),
        (lambda: UCRL2Restarts(changes=0), "changes must be at least 1"),
        (lambda: AveragePSRL(prior=0.0), "prior must be positive"),
    ],
)
def test_wrong_numbers_are_refused(build, text):
    with pytest.raises(ValueError, match=text):
        build()
