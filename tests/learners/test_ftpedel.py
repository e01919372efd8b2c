"""FTPedel, its variants and what it is compared with: certificates, reference figures, refusals."""

import dataclasses
import warnings

import numpy as np
import pytest

from theoryrl.instances import offline_fork, paying_lock, twin_lock, two_arms
from theoryrl.learners import (
    VILCB,
    ActionElimination,
    AllPolicyFTPedel,
    FTPedel,
    GapUCBVI,
    LinearFTPedel,
    Pedel,
    TwoPhaseFTPedel,
)
from theoryrl.learners.linear_ftpedel import linear_estimates
from theoryrl.models import FineTuningTask, LinearMDP, PolicyClass, TransitionCounts
from theoryrl.protocol import identify
from theoryrl.solvers import class_values, policy_widths

GRID = 1.1
"""Numbers of episodes lie on a grid of factor 1.1: one step is the least two runs can differ by."""

REFERENCE = [
    ("M-", 1, {0.4: 6514, 0.2: 6514, 0.1: 7165}, {0.4: 137435, 0.2: 574082, 0.1: 2398071}, {0.1: 20432}),
    ("M+", 1, {0.4: 151178, 0.2: 694639, 0.1: 2901665}, {0.4: 142932, 0.1: 2354470}, {0.1: 6219972}),
    ("M-", 16, {0.4: 5922, 0.1: 6514}, {0.4: 124941, 0.2: 521893, 0.1: 2180065}, {}),
    ("M+", 16, {0.4: 137435, 0.2: 631490, 0.1: 2637878}, {}, {}),
]
"""Means of five seeds of an independent implementation, stop = "paper", growth 0.1."""


@pytest.mark.parametrize(("name", "J", "design", "alone", "uniform"), REFERENCE)
def test_the_fork_agrees_with_an_independent_implementation(name, J, design, alone, uniform):
    for learner, figures in (("design", design), ("alone", alone), ("uniform", uniform)):
        for eps, reference in figures.items():
            options = {"eps": eps, "growth": 0.1, "inner_steps": J, "stop": "paper"}
            made = Pedel(**options) if learner == "alone" else FTPedel(collect=learner, **options)
            for seed in range(2):
                task = offline_fork(name == "M-", int(8e4 / eps**2), seed)
                found = identify(task, made, 20_000_000, seed)
                assert found.certified
                assert found.gap == 0
                assert reference / GRID / 1.001 <= found.episodes <= reference * GRID * 1.001


@pytest.mark.parametrize(
    ("H", "figures"),
    [(3, (8.67e3, 7.05e4, 2.04e4, 2.25e4)), (5, (8.96e4, 6.95e5, 3.24e5, 2.68e5))],
)
def test_the_twin_lock_agrees_with_an_independent_implementation(H, figures):
    task = twin_lock(H, 4, 0.8, int(1.25e7 * (H / 3) ** 4))
    options = {"eps": 0.4, "growth": 0.1, "stop": "paper"}
    learners = (FTPedel(**options), Pedel(**options), *(
        FTPedel(collect=collect, **options) for collect in ("uniform", "class")
    ))  # fmt: skip
    for learner, reference in zip(learners, figures, strict=True):
        found = identify(task, learner, 10_000_000)
        assert found.certified
        assert found.gap <= 0.4
        assert reference / GRID / 1.005 <= found.episodes <= reference * GRID * 1.005


CERTIFYING = [
    FTPedel(eps=0.4),
    FTPedel(eps=0.4, hedge_offline=True),
    FTPedel(eps=0.4, collect="behaviour", confidence="fixed-design"),
    FTPedel(eps=0.4, collect="class", confidence="fixed-design"),
    Pedel(eps=0.4, stop="paper"),
    TwoPhaseFTPedel(eps=0.4),
    LinearFTPedel(eps=0.4),
    AllPolicyFTPedel(eps=0.4),
    GapUCBVI(eps=0.4),
    GapUCBVI(eps=0.4, use_offline=False),
    ActionElimination(eps=0.4),
]


@pytest.mark.parametrize("learner", CERTIFYING, ids=repr)
def test_what_is_certified_is_eps_optimal(learner):
    behaves = getattr(learner, "collect", "") == "behaviour"  # it never sees the right branch
    task = two_arms(0.3, 5000) if behaves else offline_fork(True, 500_000)
    if behaves:
        task = FineTuningTask(task.mdp, task.policies, task.offline, task.policies[1])
    budget = 200_000 if not isinstance(learner, TwoPhaseFTPedel) else 20_000_000
    found = identify(task, learner, budget)
    assert found.certified
    assert found.gap <= 0.4


def test_vi_lcb_cannot_tell_the_forks_apart():
    gaps = []
    for covered in (True, False):
        with pytest.warns(UserWarning, match="no certificate"):
            found = identify(offline_fork(covered, 500_000), VILCB(), 10)
        assert found.episodes == 0
        gaps.append(found.gap)
    assert gaps == [0.0, pytest.approx(0.805)]


def test_vi_lcb_bounds_the_optimal_value():
    task = offline_fork(True, 500_000)
    with pytest.warns(UserWarning, match="no certificate"):
        found = identify(task, VILCB(), 10)
    assert 0.9 < found.trace.diagnostics["lower"][0] <= 1.0


def test_the_unverifiable_mode_stops_where_it_is_told_and_certifies_nothing():
    for online in (0, 77):
        with pytest.warns(UserWarning, match=f"no certificate after {online} online"):
            found = identify(
                two_arms(0.3, 1000), FTPedel(eps=0.1, stopping="unverifiable", online=online), 500
            )
        assert (found.certified, found.episodes, found.gap) == (False, online, 0.0)


def test_the_same_seed_gives_the_same_run():
    runs = [identify(offline_fork(), FTPedel(eps=0.8), 100_000, seed) for seed in (4, 4, 5)]
    assert runs[0].trace.same_as(runs[1].trace)
    assert not runs[0].trace.same_as(runs[2].trace)


def test_one_hot_features_give_the_tabular_values():
    """Radii agree too; the bias term is bounded in another norm, so widths are at least the tabular ones."""
    task = offline_fork(True, 3000)
    data = task.offline
    tabular = policy_widths(data, task.mdp.rho, task.policies, 0.1)
    phi = np.eye(18).reshape(6, 3, 18)
    linear = linear_estimates(
        data.transitions,
        data.reward_sums,
        task.mdp.rho,
        phi,
        task.policies.actions,
        np.log(162),
        0.1,
        1.0,
        1.0,
    )
    np.testing.assert_allclose(linear.values, tabular.values, rtol=1e-12)
    np.testing.assert_allclose(linear.factors - np.sqrt(18) * np.array([3, 2, 1]), tabular.radii, rtol=1e-12)
    assert (linear.widths >= tabular.widths - 1e-12).all()


def test_a_linear_task_is_certified_with_its_features():
    rng = np.random.default_rng(0)
    phi = rng.dirichlet(np.ones(2), (4, 2))
    theta = np.tile([0.1, 0.9], (2, 1))
    linear = LinearMDP(phi, theta, rng.dirichlet(np.ones(4), (2, 2)), np.eye(4)[0])
    actions = np.unique(rng.integers(2, size=(20, 2, 4)), axis=0)
    task = FineTuningTask(linear.to_episodic(), PolicyClass(actions, 2))
    found = identify(task, LinearFTPedel(features=phi, eps=0.5), 1_000_000)
    assert found.certified
    assert found.gap <= 0.5


def test_a_paying_lock_is_solved_without_data():
    task = paying_lock(3)
    found = identify(task, Pedel(eps=0.4), 1_000_000)
    assert found.certified
    assert found.gap == 0
    assert class_values(task.mdp, task.policies).max() == pytest.approx(0.9)


@pytest.mark.parametrize("learner", [FTPedel, Pedel, LinearFTPedel, AllPolicyFTPedel])
def test_radii_below_the_proven_ones_are_announced(learner):
    with pytest.warns(UserWarning, match=r"guarantee is void \(conf_scale = 0.5 is below 1\)"):
        assert not learner(conf_scale=0.5).guaranteed
    with warnings.catch_warnings(action="error"):
        assert learner(conf_scale=2.0).guaranteed


def test_a_fixed_design_that_depends_on_the_data_is_announced():
    with pytest.warns(UserWarning, match="fixed-design radii with exploration that depends on the data"):
        assert not FTPedel(confidence="fixed-design").guaranteed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0.0}, r"eps must be positive; got 0\.0"),
        ({"eps": -0.1}, r"eps must be .* got -0\.1"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\); got 1\.0"),
        ({"conf_scale": 0.0}, r"conf_scale must be positive; got 0\.0"),
        ({"lam": -1.0}, r"lam must be .* got -1\.0"),
        ({"growth": 0.0}, "growth must be positive; got 0"),
        ({"inner_steps": 0}, "inner_steps must be at least 1; got 0"),
        ({"collect": "greedy"}, "collect must be one of .* got 'greedy'"),
        ({"confidence": "none"}, "confidence must be one of .* got 'none'"),
        ({"stop": "now"}, "stop must be one of .* got 'now'"),
        ({"stopping": "now"}, "stopping must be one of .* got 'now'"),
    ],
)
def test_a_bad_parameter_is_named_together_with_its_value(options, message):
    with pytest.raises(ValueError, match=message):
        FTPedel(**options)


@pytest.mark.parametrize("name", ["growth", "eps", "lam"])
@pytest.mark.parametrize(
    "learner", [FTPedel, LinearFTPedel, AllPolicyFTPedel, TwoPhaseFTPedel, GapUCBVI, ActionElimination]
)
@pytest.mark.parametrize("value", [0.0, -0.5, float("nan")])
def test_what_must_be_positive_is_checked_by_every_learner(learner, name, value):
    if name not in {field.name for field in dataclasses.fields(learner)}:
        return
    with pytest.raises(ValueError, match=f"{name} must be"):
        learner(**{name: value})


def test_the_unverifiable_mode_plays_all_its_episodes_even_where_it_could_certify():
    task, options = two_arms(0.4, 50_000), {"eps": 0.9, "growth": 0.5}
    proven = identify(task, FTPedel(**options), 5000)
    assert proven.certified
    assert proven.episodes < 5000
    with pytest.warns(UserWarning, match="no certificate after 5000 online"):
        found = identify(task, FTPedel(stopping="unverifiable", online=5000, **options), 6000)
    assert (found.certified, found.episodes, found.gap) == (False, 5000, 0.0)


def test_eps_beyond_the_horizon_is_refused():
    with pytest.raises(ValueError, match=r"eps must be in \(0, 1\]; got 1\.5"):
        identify(two_arms(), FTPedel(eps=1.5), 10)


def test_features_beyond_the_unit_ball_are_refused():
    with pytest.raises(ValueError, match=r"features\[0, 1, :\] must have norm at most 1; it has 2\.0"):
        LinearFTPedel(features=np.array([[[1.0, 0.0], [2.0, 0.0]]]))


def test_a_behaviour_that_is_not_known_cannot_be_played():
    with pytest.raises(ValueError, match="needs the behaviour policy"):
        identify(two_arms(), FTPedel(collect="behaviour"), 10)


def test_a_class_needs_no_offline_data_and_counts_may_be_empty():
    task = two_arms(0.4, 0)
    empty = FineTuningTask(task.mdp, task.policies, TransitionCounts.empty((1, 1, 2)))
    first, second = (identify(t, FTPedel(eps=0.5), 10_000) for t in (task, empty))
    assert first.trace.same_as(second.trace)
