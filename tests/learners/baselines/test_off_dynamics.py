"""Offline pessimists and robust UCB-VI: against plain computations, the optimum, and wrong input."""

import math

import numpy as np
import pytest

from theoryrl.instances import five_state, random_robust_linear
from theoryrl.learners import DRPVI, DRRPO, PEVI, R2PVI, VADRPVI, RobustUCBVI
from theoryrl.learners.baselines.off_dynamics.relatives import variance_weights
from theoryrl.models import Policy, RobustLinearMDP, Uncertainty
from theoryrl.protocol import OffDynamicsProblem, Run, play
from theoryrl.solvers import robust_policy_evaluation, robust_value_iteration, simulate_episodes

ROUNDING = 1e-10


def problem_with_data(model, n, seed=0):
    behaviour = Policy.uniform(model.n_states, model.n_actions)
    data = simulate_episodes(model.nominal.to_episodic(), behaviour, n, np.random.default_rng(seed))
    return OffDynamicsProblem(model, offline=data)


def greedy_model(uncertainty="tv", radius=0.3, seed=0):
    return random_robust_linear(5, 3, 4, 3, "covered", uncertainty, radius, temperature=0.0, seed=seed)


CASES = [
    (DRPVI, "tv"),
    (VADRPVI, "tv"),
    (PEVI, "tv"),
    (R2PVI, "tv-penalty"),
    (R2PVI, "kl-penalty"),
    (R2PVI, "chi2-penalty"),
]


@pytest.mark.parametrize(("learner", "name"), CASES)
def test_much_data_make_a_policy_that_is_nearly_the_best(learner, name):
    model = greedy_model(name)
    problem = problem_with_data(model, 40_000)
    trace = play(problem, learner(beta=0.3), 2)
    nominal = RobustLinearMDP(model.nominal, Uncertainty("tv", 0.0), fail_state=model.fail_state)
    target = robust_value_iteration(nominal if learner is PEVI else model).policy
    assert trace.values[-1] >= robust_policy_evaluation(model, target).start_value - 0.01
    assert trace.values[0] == trace.values[1], "nothing is learned from interaction"


@pytest.mark.parametrize("learner", [DRPVI, VADRPVI, PEVI])
def test_the_plan_is_the_plain_one_with_the_bonus_subtracted(learner):
    model, beta, ridge = greedy_model(), 0.4, 0.5
    problem = problem_with_data(model, 60)
    run = Run(problem, learner(beta=beta, ridge=ridge), 1).advance()
    phi, H, data = model.nominal.phi, model.horizon, problem.offline
    weights = np.ones(data.actions.shape)
    if learner is VADRPVI:
        data, first = data.folds(2)[1], problem.offline.folds(2)[0]
        earlier = OffDynamicsProblem(model, offline=first)
        weights = variance_weights(
            Run(earlier, DRPVI(beta=beta, ridge=ridge), 1).advance().state, data.states, data.actions
        )
        assert weights.min() < 1 or H < 4
    V = np.zeros(model.n_states)
    for h in range(H - 1, -1, -1):
        x = phi[data.states[:, h], data.actions[:, h]]
        inverse = np.linalg.inv(ridge * np.eye(phi.shape[2]) + (weights[:, h, None] * x).T @ x)
        top = H - 1.0 - h
        levels, radii = np.append(0.0, V), model.uncertainty.radii(model.nominal.theta.shape)[h]
        radii = np.zeros(len(radii)) if learner is PEVI else radii
        sums = (weights[:, h, None] * x).T @ np.minimum(V[data.states[:, h + 1], None], levels)
        nu = (inverse @ sums - radii[:, None] * levels).max(axis=1) if top else np.zeros(len(radii))
        b = beta if top else 0.0
        if learner is PEVI:
            Gamma = b * np.sqrt(np.einsum("sai,ij,saj->sa", phi, inverse, phi))
            Q = phi @ (model.nominal.theta[h] + nu) - Gamma
        else:
            u = np.clip(nu - b * np.sqrt(np.diag(inverse)), 0, top)
            Q = phi @ (model.nominal.theta[h] + u)
        Q = np.clip(Q, 0, top + 1)
        Q[model.fail_state] = 0.0
        np.testing.assert_allclose(run.state.Q[h], Q, atol=ROUNDING)
        V = Q.max(axis=1)


def test_lower_bounds_hold_with_the_bonus_of_the_theory():
    """With probability 1 - delta for each; the factors are several times what errors need."""
    for seed in range(5):
        for learner, name in ((DRPVI, "tv"), (R2PVI, "tv-penalty"), (R2PVI, "chi2-penalty")):
            model = greedy_model(name, 0.5, seed)
            run = Run(problem_with_data(model, 3000, seed), learner(), 1).advance()
            assert run.trace.guaranteed
            value = robust_policy_evaluation(model, run.state.policy).value
            assert (run.state.V[:-1] <= value + ROUNDING).all()


def test_missing_or_wrong_data_and_sets_are_refused():
    model = greedy_model()
    with pytest.raises(ValueError, match="drpvi needs a problem with offline data; got None"):
        play(model, DRPVI(), 1)
    with pytest.raises(ValueError, match="drpvi learns with tv; the problem's set is 'kl-penalty'"):
        play(problem_with_data(greedy_model("kl-penalty"), 3), DRPVI(), 1)
    with pytest.raises(ValueError, match=r"r2pvi learns with tv-penalty, .*; the problem's set is 'tv'"):
        play(problem_with_data(model, 3), R2PVI(), 1)
    with pytest.raises(ValueError, match="va-drpvi needs at least 2 offline episodes; got 1"):
        play(problem_with_data(model, 1), VADRPVI(), 1)
    with pytest.raises(ValueError, match=r"offline must have \(H, S, A\)"):
        OffDynamicsProblem(five_state(), offline=problem_with_data(model, 2).offline)


def test_robust_ucbvi_learns_the_robust_optimum_of_a_table():
    model = random_robust_linear(4, 2, 0, 3, "one-hot", radius=0.2, temperature=0.0, seed=1)
    trace = play(model, RobustUCBVI(scale=0.1), 4000, 0)
    assert trace.benchmark - trace.values[-100:].mean() <= 0.01
    assert not trace.guaranteed
    soft = random_robust_linear(4, 2, 0, 3, "one-hot", radius=0.2, temperature=0.2, seed=1)
    late = play(soft, RobustUCBVI(scale=0.1), 4000, 0)
    assert late.benchmark - late.values[-100:].mean() <= 0.01


def test_robust_ucbvi_plans_with_empirical_rows_and_its_bonus():
    model = random_robust_linear(3, 2, 0, 2, "one-hot", radius=0.3, temperature=0.0, seed=2)
    learner, K = RobustUCBVI(scale=0.2, delta=0.1), 50
    run = Run(OffDynamicsProblem(model), learner, K, 0).advance()
    learner.plan(run.state)
    state, f = run.state, model.fail_state
    assert (state.counts.sum(axis=(1, 2)) == K).all()
    V, floor = state.V[1], state.V[1, f]
    for s, a in np.ndindex(2, 2):
        counts = state.counts[0, 2 * s + a]
        N, u = counts.sum(), 1.0
        if N:
            p, levels = counts / N, np.append(V, floor)
            sigma = max(p @ np.minimum(V, x) - 0.3 * (x - floor) for x in levels)
            u = min(sigma + 0.2 * 2 * math.sqrt(math.log(3 * 2 * 2 * K / 0.1) / N), 1.0)
        assert abs(state.Q[0, s, a] - min(model.nominal.theta[0, 2 * s + a] + u, 2.0)) <= ROUNDING


def test_robust_ucbvi_takes_tables_and_positive_constants_only():
    with pytest.raises(ValueError, match="robust-ucbvi is for tables: phi must hold unit vectors"):
        play(five_state(), RobustUCBVI(), 1)
    with pytest.raises(ValueError, match="scale must be positive; got 0"):
        RobustUCBVI(scale=0.0)
    with pytest.raises(ValueError, match=r"delta must be in \(0, 1\)"):
        RobustUCBVI(delta=0.0)


def test_more_exploration_bonus_never_lowers_the_upper_bound():
    model = random_robust_linear(3, 2, 0, 2, "one-hot", temperature=0.0)
    small, large = (Run(OffDynamicsProblem(model), RobustUCBVI(scale=c), 1, 0).advance() for c in (0.1, 1.0))
    np.testing.assert_array_equal(small.state.Q, large.state.Q)
    assert DRRPO.sign == 1.0
    assert DRPVI.sign == -1.0
