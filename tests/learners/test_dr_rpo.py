"""DR-RPO and its relatives: the plan against a plain implementation, the variants, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl.instances import american_put, five_state, price_features, random_robust_linear
from theoryrl.learners import DRLSVIUCB, DRRPO, LEARNERS, LSVIUCB, RPO, WeDriveU
from theoryrl.learners import _dr_rpo_kernels as kernels
from theoryrl.learners.bonus_radius import TWO_REGRESSIONS, Regression, theory_beta
from theoryrl.models import LinearMDP, RobustLinearMDP, RobustMDP, Uncertainty
from theoryrl.protocol import Approximation, OffDynamicsProblem, Run, play
from theoryrl.solvers import robust_policy_evaluation

ROUNDING = 1e-10
NAMES = ("tv", "tv-penalty", "kl-penalty", "chi2-penalty")
seeds = st.integers(0, 2**32 - 1)


def plain_estimate(name, m, V, radius, top):
    """The estimated least expectation of V for signed weights, from its definition."""
    if name == "tv":
        return max(m @ np.minimum(V, a) - radius * a for a in [0.0, *V])
    if name == "tv-penalty":
        return m @ np.minimum(V, radius)
    if name == "kl-penalty":
        return -radius * math.log(np.clip(m @ np.exp(-V / radius), math.exp(-top / radius), 1.0))
    grid = np.linspace(0.0, top, 4001)
    x = grid[:, None] - V
    k = np.where(x >= -2 * radius, x + x**2 / (4 * radius), -radius)
    return (grid - k @ m).max()


def plain_plan(learner, state):
    """The algorithm as its docstring states it, in plain NumPy, with explicit inverses."""
    spec, beta = state.spec, state.beta
    H, S, A, d = spec.shape
    name = spec.uncertainty.name if learner.robust else "tv"
    Q, V, pi = np.zeros((H, S, A)), np.zeros((H + 1, S)), np.zeros((H, S, A))
    for h in range(H - 1, -1, -1):
        R = H - 1 - h
        inverse = np.linalg.inv(state.regression.Lambda[h])
        M = inverse @ state.regression.G[h]
        nu = np.array([plain_estimate(name, M[i], V[h + 1], state.radii[h, i], R) for i in range(d)])
        nu, b = (nu, beta[h]) if R else (np.zeros(d), 0.0)
        g = b * np.sqrt(np.diag(inverse))
        if learner.bonus == "factor":
            value, raw = spec.phi @ (spec.theta[h] + np.clip(nu + g, 0, R)), spec.phi @ (nu + g)
        else:
            square = (spec.phi * g) ** 2 if learner.bonus == "factor-l2" else None
            Gamma = np.sqrt(square.sum(axis=2)) if square is not None else b * np.sqrt(
                np.einsum("sai,ij,saj->sa", spec.phi, inverse, spec.phi))  # fmt: skip
            value, raw = spec.phi @ (spec.theta[h] + nu) + Gamma, spec.phi @ nu + Gamma
        Q[h] = np.clip(value, 0, R + 1)
        Q[h, spec.fail_state] = 0.0
        if state.eta > 0:
            weights = spec.reference[h] * np.exp(Q[h] / state.eta)
            pi[h], V[h] = (
                weights / weights.sum(axis=1, keepdims=True),
                state.eta * np.log(weights.sum(axis=1)),
            )
        else:
            raw = raw + spec.phi @ spec.theta[h]
            ties = Q[h] >= Q[h].max(axis=1, keepdims=True) - 1e-12
            chosen = np.where(ties, raw, -np.inf).argmax(axis=1) if learner.tie_break else ties.argmax(axis=1)
            pi[h], V[h] = np.eye(A)[chosen], Q[h].max(axis=1)
    return Q, V, pi


LEARNERS_TO_CHECK = [
    *((DRRPO(beta=0.5, ridge=0.5), name) for name in NAMES),
    (DRRPO(), "tv"),
    (DRRPO(data_dependent=True, temperature=0.0), "tv"),
    (DRRPO(bonus="factor-l2", beta=1.0), "tv"),
    (DRLSVIUCB(bonus="elliptic", beta=1.0), "tv"),
    (DRLSVIUCB(bonus="factor-l2", beta=1.0, ridge=0.1, tie_break=False), "tv"),
    (LSVIUCB(beta=0.3), "tv"),
    (RPO(beta=0.3), "tv"),
]


@pytest.mark.parametrize(("learner", "name"), LEARNERS_TO_CHECK, ids=str)
def test_the_compiled_plan_is_the_plain_one(learner, name):
    model = random_robust_linear(5, 3, 4, 4, "dirichlet", name, 0.4, temperature=0.2, seed=2)
    run = Run(OffDynamicsProblem(model), learner, 40, seed=1)
    # A grid of 4001 points misses the quadratic's top by at most its curvature times the square of a step.
    tolerance = 4e-6 if name == "chi2-penalty" else 1e-9
    for _ in range(8):
        run.advance(5)
        pi = learner.optimistic_plan(run.state)
        Q, V, plain = plain_plan(learner, run.state)
        np.testing.assert_allclose(run.state.Q, Q, atol=tolerance)
        np.testing.assert_allclose(run.state.V, V, atol=tolerance)
        np.testing.assert_allclose(pi, plain, atol=100 * tolerance)


@given(seed=seeds)
def test_signed_weights_are_searched_exactly(seed):
    rng = np.random.default_rng(seed)
    S, top = int(rng.integers(1, 8)), 3.0
    m, V = rng.normal(size=S), np.round(top * rng.random(S), int(rng.integers(0, 5)))
    radius = float(rng.random())
    order = np.argsort(V, kind="stable")
    grid = np.linspace(0, top, 301)
    tv = kernels.tv_dual(m, V, order, radius)
    values = np.minimum(V, np.append(grid, V)[:, None]) @ m - radius * np.append(grid, V)
    assert abs(tv - max(0.0, values[np.append(grid, V) <= V.max()].max(initial=0.0))) <= ROUNDING
    price = float(0.1 + rng.random())
    chi2 = kernels.chi2_penalty_dual(m, V, order, price, top)
    assert chi2 >= plain_estimate("chi2-penalty", m, V, price, top) - ROUNDING


def test_the_bonus_factors_are_those_of_the_page():
    """beta at K = 400 for S = 8, d = 4, H = 4, lambda = 1, delta = 0.05: 19.5, 13.0, 6.5, 0."""
    regression = Regression(4, 4, 400, 1.0, 0.05)
    beta = theory_beta("tv", regression, np.full((4, 4), 0.25))
    np.testing.assert_allclose(beta, [19.5, 13.0, 6.5, 0.0], atol=0.05)
    prices = np.full((4, 4), 1.0)
    by_hand = math.sqrt(4) + 0.5 * math.sqrt(4 * math.log(101) + 2 * (4 * math.log(120) + math.log(80))) + 0.5
    assert abs(theory_beta("tv-penalty", regression, prices)[0] - by_hand) <= ROUNDING
    smaller = theory_beta("tv", regression, prices, log_det=[1.0, 1.0, 1.0, 1.0])
    assert (smaller[:3] < beta[:3]).all()
    with pytest.raises(ValueError, match="a KL penalty needs a price of at least"):
        theory_beta("kl-penalty", regression, np.full((4, 4), 1e-3))


def test_each_price_of_a_stage_has_an_event_of_its_own():
    """Two prices share delta; two radii do not, because one event holds for all levels at once."""
    regression = Regression(4, 2, 400, 1.0, 0.1)
    for name in ("tv-penalty", "kl-penalty", "chi2-penalty", TWO_REGRESSIONS):
        mixed = theory_beta(name, regression, np.array([[0.5, 1.0, 1.0, 1.0], [1.0] * 4]))[0]
        alone = [
            theory_beta(name, regression._replace(delta=0.05), np.full((2, 4), x))[0] for x in (0.5, 1.0)
        ]
        assert abs(mixed - max(alone)) <= ROUNDING
    radii = theory_beta("tv", regression, np.array([[0.5, 1.0, 1.0, 1.0], [1.0] * 4]))
    np.testing.assert_array_equal(radii, theory_beta("tv", regression, np.ones((2, 4))))


def test_the_bonus_factor_of_two_regressions_is_that_of_the_page():
    d, H, K, lam, delta, R, tau = 3, 4, 400, 0.5, 0.1, 3.0, 0.7
    L = d * math.log(1 + K / (lam * d))

    def beta(scale, cover):
        noise = math.sqrt(L + 2 * ((d + 1) * math.log(math.ceil(cover * 20)) + math.log(2 * H / delta)))
        return scale * (math.sqrt(lam * d) + 0.5 * noise + 0.5)

    by_hand = (1 + R / (2 * tau)) * beta(R, 2) + beta(R**2, 4) / (4 * tau)
    found = theory_beta(TWO_REGRESSIONS, Regression(d, H, K, lam, delta), np.full((H, d), tau))
    assert abs(found[0] - by_hand) <= ROUNDING


@given(seed=seeds)
def test_two_regressions_are_searched_exactly(seed):
    rng = np.random.default_rng(seed)
    S, top, price = int(rng.integers(1, 7)), 3.0, float(10 ** rng.uniform(-1, 1))
    m = rng.normal(size=S) if rng.random() < 0.6 else rng.dirichlet(np.ones(S))
    V = np.round(top * rng.random(S), int(rng.integers(0, 5)))
    found = kernels.chi2_penalty_moments(m, V, np.argsort(V, kind="stable"), price, top)
    levels = np.append(np.linspace(0, V.max(), 2001), V)
    clipped = np.minimum(V, levels[:, None])
    E, E2 = np.clip(clipped @ m, 0, top), np.clip(clipped**2 @ m, 0, top**2)
    best = (E - (E2 - E**2) / (4 * price)).max()
    # Between points of the grid the objective moves by its slope, at most |m| (1 + R / price) per level.
    slack = np.abs(m).sum() * (1 + top / price) * V.max() / 2000
    assert best - ROUNDING <= found <= best + slack + ROUNDING


def test_two_regressions_are_right_where_the_values_alone_are_too_few():
    """p = (1/2, 1/2), V = (0, 3), price 1/4: the infimum is 1/4; at the values the objective is 0."""
    p, V = np.array([0.5, 0.5]), np.array([0.0, 3.0])
    assert abs(kernels.chi2_penalty_moments(p, V, np.array([0, 1]), 0.25, 3.0) - 0.25) <= ROUNDING
    model = random_robust_linear(uncertainty="chi2-penalty", radius=1.0)
    one, two = (play(model, DRRPO(beta=0.3, two_regressions=x), 400, 0).values[-1] for x in (False, True))
    assert abs(one - two) < 0.01
    with pytest.raises(ValueError, match="two_regressions is for the set 'chi2-penalty'; the problem's is"):
        play(random_robust_linear(), DRRPO(two_regressions=True), 1)


def test_total_variation_of_radius_zero_is_learned_as_the_nominal_model():
    model = random_robust_linear(radius=0.0, temperature=0.2, seed=3)
    assert play(model, DRRPO(), 30, 0).same_as(play(model, RPO(), 30, 0))


def test_temperature_zero_is_dr_lsvi_ucb():
    model = random_robust_linear(temperature=0.0, seed=4)
    assert play(model, DRRPO(), 30, 0).same_as(play(model, DRLSVIUCB(), 30, 0))


def test_an_infinite_step_is_the_limit_of_finite_ones():
    model = random_robust_linear(temperature=0.3, seed=5)
    closed, proximal = (play(model, DRRPO(beta=0.3, step=step), 20, 0) for step in (math.inf, 1e9))
    np.testing.assert_allclose(closed.values, proximal.values, atol=1e-6)
    slow = play(model, DRRPO(beta=0.3, step=0.5), 20, 0)
    assert not slow.guaranteed
    assert np.abs(slow.values - closed.values).max() > 1e-3


def test_doubling_plans_seldom_and_learns_nearly_as_well():
    model = random_robust_linear(seed=6)
    eager, lazy = (play(model, DRRPO(beta=0.3, switching=rule), 1000, 0) for rule in ("always", "doubling"))
    H, d = model.horizon, model.nominal.dimension
    assert lazy.diagnostics["plans"][-1] <= 1 + H * d * math.log2(1 + 1000 / d)
    assert eager.diagnostics["plans"][-1] == 1000
    assert lazy.final_regret < 3 * eager.final_regret


def test_weights_make_another_regression_of_we_drive_u():
    model = random_robust_linear(temperature=0.0, features="one-hot", dimension=0, seed=7)
    weighted = Run(OffDynamicsProblem(model), WeDriveU(beta=1.0), 50, 0).advance().state.regression
    assert not WeDriveU().guaranteed
    assert weighted.G.sum() <= 50 * model.horizon
    plain = Run(OffDynamicsProblem(model), DRLSVIUCB(beta=1.0, switching="doubling"), 50, 0).advance()
    assert plain.state.regression.G.sum() == pytest.approx(50 * model.horizon)


@pytest.mark.parametrize("key", ["dr-rpo", "dr-lsvi-ucb", "lsvi-ucb", "rpo", "we-drive-u"])
def test_a_run_is_the_same_after_a_pause(key, tmp_path):
    problem = OffDynamicsProblem(five_state(radius=0.6, temperature=0.1))
    whole = Run(problem, LEARNERS[key](), 20, 3).advance().trace
    Run(problem, LEARNERS[key](), 20, 3).advance(7).save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


def test_the_value_of_a_round_is_the_certified_one():
    for name in NAMES:
        model = random_robust_linear(uncertainty=name, radius=0.3, seed=8)
        run = Run(OffDynamicsProblem(model), DRRPO(beta=0.5), 5, 0).advance()
        exact = robust_policy_evaluation(model, run.learner.plan(run.state).policy)
        assert abs(run.problem.value(run.learner.plan(run.state)) - exact.start_value) <= ROUNDING


def test_other_sets_are_scored_too():
    """Constrained KL cannot be learned by ridge regression, but it can score a learner of another kind."""
    model = random_robust_linear(seed=9)
    scored = OffDynamicsProblem(RobustLinearMDP(model.nominal, Uncertainty("kl", 0.1), model.fail_state))
    assert play(scored, RPO(temperature=0.2, beta=0.3), 5, 0).benchmark > 0


def test_approximate_features_are_told_instead_of_the_true_ones():
    model = american_put(radius=0.1)
    phi, theta = price_features()
    radii = np.where(np.arange(22) < 20, 0.1, 0.0)
    told = Approximation(phi, theta, Uncertainty("tv", radii))
    problem = OffDynamicsProblem(model, "put", told, value_bound=0.8)
    trace = play(problem, DRLSVIUCB(beta=0.04, ridge=0.1), 100, 0)
    assert trace.values[-10:].mean() > 0.9 * trace.benchmark
    with pytest.raises(ValueError, match=r"value_bound must be at least 0\.731"):
        OffDynamicsProblem(model, value_bound=0.7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be a finite number"),
        ({"bonus": "none"}, "bonus must be one of factor"),
        ({"beta": float("nan")}, "beta must be a finite number"),
        ({"bonus_scale": 0.0}, "bonus_scale must be positive; got 0"),
        ({"ridge": 0.0}, "ridge must be positive; got 0"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\)"),
        ({"step": 0.0}, "step must be positive; got 0"),
        ({"switching": "never"}, "switching must be one of"),
        ({"tie_break": "no"}, "tie_break must be a bool"),
        ({"data_dependent": 3}, "data_dependent must be a bool"),
        ({"two_regressions": None}, "two_regressions must be a bool"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DRRPO(**options)


def test_sets_that_cannot_be_learned_are_refused():
    model = random_robust_linear()
    unknown = RobustLinearMDP(model.nominal, Uncertainty("kl", 0.1))
    with pytest.raises(ValueError, match=r"dr-rpo learns with tv, .* the problem's set is 'kl'"):
        play(unknown, DRRPO(), 1)
    without = RobustLinearMDP(model.nominal, model.uncertainty)
    with pytest.raises(ValueError, match="needs a problem with a fail state"):
        play(without, DRRPO(), 1)
    play(without, RPO(), 1)


def test_only_the_proven_constants_are_guaranteed():
    assert DRRPO().guaranteed
    assert DRRPO(data_dependent=True, switching="doubling", bonus_scale=2.0).guaranteed
    for options in (
        {"beta": 1.0},
        {"bonus": "elliptic"},
        {"bonus": "factor-l2"},
        {"step": 1.0},
    ):
        assert not DRRPO(**options).guaranteed
    assert not RPO().guaranteed


def test_a_run_is_guaranteed_only_for_the_problem_of_the_theorems():
    soft = random_robust_linear(temperature=0.3)
    assert play(soft, DRRPO(), 2).guaranteed
    assert play(soft, DRRPO(temperature=0.3), 2).guaranteed
    assert not play(soft, DRRPO(temperature=0.1), 2).guaranteed
    assert not play(soft, DRLSVIUCB(), 2).guaranteed, "its values are compared with regularised ones"
    assert play(random_robust_linear(temperature=0.0), DRLSVIUCB(), 2).guaranteed
    phi, theta = price_features()
    told = Approximation(phi, theta, Uncertainty("tv", np.where(np.arange(22) < 20, 0.1, 0.0)))
    assert not play(OffDynamicsProblem(american_put(), approximation=told), DRRPO(), 2).guaranteed


def test_tabular_and_linear_models_give_the_same_robust_score():
    model = random_robust_linear(features="one-hot", dimension=0, seed=10)
    tabular = model.nominal.to_episodic()
    radii = np.broadcast_to(model.uncertainty.radii(model.nominal.theta.shape)[0, :-1].reshape(7, 4), (7, 4))
    full = np.vstack([radii, np.zeros((1, 4))])
    robust = RobustMDP(tabular, Uncertainty("tv", full), temperature=0.3)
    policy = Run(OffDynamicsProblem(model), DRRPO(beta=1.0), 3, 0).advance().state.policy
    one = robust_policy_evaluation(robust, policy).value
    other = robust_policy_evaluation(model, policy).value
    np.testing.assert_allclose(one, other, atol=ROUNDING)
    assert isinstance(LinearMDP.from_episodic(tabular), LinearMDP)
