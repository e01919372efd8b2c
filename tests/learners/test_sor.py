"""ChebCB and the binned bandit against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy.optimize import lsq_linear

from theoryrl import LossTable, play
from theoryrl.instances import shifted_laplacian
from theoryrl.learners import BinnedTsallisINF, ChebCB, FixedArm, TsallisINF
from theoryrl.learners import _relaxation_kernels as kernels
from theoryrl.protocol import BanditProblem, pose_relaxation

SEEDS = st.integers(0, 10_000)
OBJECTIVE = 1e-10
"""Of a bounded least-squares problem in six unknowns, relative to the squared targets."""


@given(st.floats(-1, 1), st.integers(1, 8))
def test_features_are_chebyshev_polynomials(u, m):
    f = np.empty(m)
    kernels.chebyshev_features(u, f)
    np.testing.assert_allclose(f, chebyshev.chebvander(u, m - 1).ravel(), atol=1e-13)


@given(SEEDS, st.integers(2, 30), st.floats(0.0, 1e6))
def test_inverse_gaps_are_a_distribution_that_prefers_the_smallest(seed, d, eta):
    y, p = np.random.default_rng(seed).uniform(-0.5, 0.5, d), np.empty(d)
    kernels.inverse_gaps(y, eta, p)
    assert (p >= 0).all()
    assert abs(p.sum() - 1) < 1e-12
    assert p[np.argmin(y)] >= 1 / d - 1e-12
    assert p[np.argmin(y)] >= p.max() - 1e-12


def test_without_data_every_arm_is_as_likely():
    p = np.empty(4)
    kernels.inverse_gaps(np.zeros(4), 0.0, p)
    np.testing.assert_array_equal(p, 0.25)


@given(SEEDS, st.integers(1, 40))
def test_the_fit_is_the_bounded_least_squares_of_scipy(seed, rows):
    rng = np.random.default_rng(seed)
    m, box = 6, np.array([0.3, 0.2, 0.1, 0.07, 0.05, 0.04])
    F = chebyshev.chebvander(rng.uniform(-1, 1, rows), m - 1)
    y = rng.uniform(-0.5, 0.5, rows)
    theta = np.zeros((1, m))
    kernels.refit((F.T @ F)[None], (F.T @ y)[None], np.array([y @ y]), 1.0, box, theta, 0, True)
    ours = np.sum((F @ theta[0] - y) ** 2)
    best = 2 * lsq_linear(F, y, (-box, box), method="bvls").cost
    assert (np.abs(theta[0]) <= box * (1 + 1e-15)).all() or ours <= best + OBJECTIVE
    assert ours <= best + OBJECTIVE * max(1, y @ y)


def test_a_fit_inside_the_box_is_that_of_least_norm():
    rng = np.random.default_rng(0)
    F, y = chebyshev.chebvander(rng.uniform(-1, 1, 3), 5), rng.uniform(-0.1, 0.1, 3)
    theta = np.zeros((1, 6))
    kernels.refit((F.T @ F)[None], (F.T @ y)[None], np.array([y @ y]), 1.0, np.ones(6), theta, 0, True)
    np.testing.assert_allclose(theta[0], np.linalg.lstsq(F, y, rcond=None)[0], atol=1e-7)


def replay(table, learner, seed):
    """ChebCB from its definition, refitted from all rows with SciPy; returns the arms."""
    T, d = table.losses.shape
    m, (a, b) = learner.coefficients, table.context_range
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[2])
    theta, rows, arms, predicted = np.zeros((d, m)), [[] for _ in range(d)], [], []
    eta, scale, counts = 0.0, None, []
    for t in range(T):
        f = chebyshev.chebvander(2 * (table.contexts[t] - a) / (b - a) - 1, m - 1).ravel()
        y = theta @ f
        best = int(np.argmin(y))
        p = 1 / (d + eta * (y - y[best]))
        p[best] = 0
        p[best] = 1 - p.sum()
        arm = min(int(np.searchsorted(np.cumsum(p), rng.random() * p.sum(), side="right")), d - 1)
        k = table.losses[t, arm]
        counts.append(k)
        arms.append(arm)
        predicted.append(y[arm])
        rows[arm].append((f, k))
        K = max(counts)
        slope = K - (min(counts) if learner.lipschitz == "range" else 0)  # Lc (b - a)
        before, N = scale, 2 + 4 * slope * (1 + np.log(m)) / K
        scale = K * N
        box = np.r_[1 / N, 2 * slope / (scale * np.arange(1, m))]
        held = 0.0
        for i in range(d) if scale != before else [arm]:
            if not rows[i]:
                continue
            F = np.array([f for f, _ in rows[i]])
            z = (np.array([k for _, k in rows[i]]) - 1) / scale
            theta[i] = np.linalg.lstsq(F, z, rcond=1e-6)[0]
            if (np.abs(theta[i]) > box).any():
                theta[i] = lsq_linear(F, z, (-box, box), method="bvls", tol=1e-15).x
                held = np.sum((F @ theta[i] - z) ** 2)
        alpha = (np.pi + 2 / np.pi * np.log(2 * m + 1)) / (2 * scale * (m + 1)) * slope
        R = np.sum((np.array(predicted) - np.array(counts) / scale) ** 2)
        if learner.exploration == "theory":
            eta = 2 * np.sqrt(d * T / (R + 2 * alpha**2 * T))
        else:
            eta = 2 * (t + 1) * np.sqrt(d * (t + 1) / (R - held + 2 * alpha**2 * (t + 1)))
    return arms


@pytest.mark.parametrize(
    "learner",
    [
        ChebCB(coefficients=2),
        ChebCB(coefficients=2, exploration="theory"),
        ChebCB(coefficients=1, lipschitz="range"),
    ],
    ids=repr,
)
def test_chebcb_pulls_the_arms_of_its_definition(learner):
    """Few coefficients: then the least-squares problems have one solution each.

    With two, after two rounds of an arm, if the box is wide; that of a range is a point at first.
    """
    rng = np.random.default_rng(3)
    contexts = rng.uniform(0, 1, 60)
    losses = 20 + 10 * np.abs(contexts[:, None] - np.array([0.1, 0.5, 0.9])) + rng.integers(0, 4, (60, 3))
    table = LossTable(losses, (1.0, 40.0), contexts, (0.0, 1.0))
    arms = play(table, learner, 60, 5).diagnostics["arm"].astype(int).tolist()
    assert arms == replay(table, learner, 5)


def test_a_bin_is_an_independent_bandit():
    """With one bin it is Tsallis-INF; rounds of other bins do not change what a bin does."""
    tuning = shifted_laplacian(side=5, rounds=60)
    problem = pose_relaxation(tuning)
    assert play(problem, BinnedTsallisINF(bins=1), 60, 0).same_as(play(problem, TsallisINF(), 60, 0))
    bins = np.floor((tuning.systems.contexts + 0.15) / 0.2).astype(int)
    state = BinnedTsallisINF(bins=4).init(problem.spec(60), np.random.default_rng(0))
    state.play(-problem.model.losses, problem.model.contexts.copy())
    assert state.clock[:, 0].tolist() == [np.sum(bins == j) for j in range(4)]


@pytest.mark.parametrize("learner", [ChebCB(), BinnedTsallisINF(bins=3)])
def test_contextual_learners_need_contexts(learner):
    with pytest.raises(ValueError, match=r"needs contexts; spec\.context_range is None"):
        play(LossTable(np.ones((3, 2))), learner, 3, 0)


def test_chebcb_learns_which_arm_is_best_where():
    """The best arm depends on the context alone: nearly every late pull is right (seeds are fixed)."""
    rng = np.random.default_rng(0)
    contexts = rng.uniform(0, 1, 2000)
    centres = np.array([0.1, 0.5, 0.9])
    losses = 10 + 50 * np.abs(contexts[:, None] - centres)
    problem = BanditProblem(LossTable(losses, (1.0, 60.0), contexts, (0.0, 1.0)))
    late = slice(1000, None)
    best = losses.min(axis=1)[late].mean()
    assert -play(problem, ChebCB(), 2000, 0).values[late].mean() < best + 1
    assert -play(problem, TsallisINF(), 2000, 0).values[late].mean() > best + 5


def test_a_fixed_arm_is_pulled_in_every_round():
    table = LossTable(np.arange(6.0).reshape(3, 2), (0.0, 6.0))
    assert play(table, FixedArm(1), 3, 0).values.tolist() == [-1, -3, -5]
    with pytest.raises(ValueError, match="arm must be at least 0 and at most 1; got 2"):
        play(table, FixedArm(2), 3, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChebCB(coefficients=0), "coefficients must be at least 1; got 0"),
        (lambda: ChebCB(exploration="x"), "exploration must be one of released, theory; got 'x'"),
        (lambda: ChebCB(lipschitz="x"), "lipschitz must be one of max, range; got 'x'"),
        (lambda: BinnedTsallisINF(bins=0), "bins must be at least 1; got 0"),
        (lambda: FixedArm(-1), "arm must be at least 0; got -1"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
