"""OptCMDP, OptPess-LP and DOPE: their programs, their safety, and what they are told."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

from tests.learners.baselines.models import ROUNDING, conservative, episodes, hazard, illustrative, random_mdp
from theoryrl.learners.baselines import DOPE, PSRL, UCBVI, AlwaysBaseline, FixedMixture, OptCMDP, OptPessLP
from theoryrl.learners.baselines._kernels import largest_mean, optimistic_policy_value
from theoryrl.learners.baselines._programs import SOLVED, extended_program, occupancy_program
from theoryrl.models import EpisodicMDP, Policy, RewardNoise
from theoryrl.protocol import EpisodicProblem, Run, play

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void:UserWarning")

SOLVER = 1e-6
"""Two solvers with row tolerance 1e-7 on programs of value below 10 agree to about this."""

UNLIKELY = 1e-7
"""Confidence parameter of the safety checks: a union over fewer than 10 runs stays below 1e-6."""

LEARNERS = (OptCMDP, OptPessLP, DOPE)
INFEASIBLE = 2


def constrained_optimum(P, radius, rho, objective, constraint, threshold):
    """Solve the extended program stage by stage in cvxpy; a radius of zero leaves one kernel."""
    H, S, A, _ = P.shape
    z = [cp.Variable((S * A, S), nonneg=True) for _ in range(H)]
    d = [cp.sum(stage, axis=1) for stage in z]
    arriving = [rho] + [cp.sum(stage, axis=0) for stage in z[:-1]]
    rules = [sum(d[h] @ constraint[h].ravel() for h in range(H)) >= threshold]
    for h in range(H):
        rules += [cp.sum(cp.reshape(d[h], (S, A), order="C"), axis=1) == arriving[h]]
        centre, width = P[h].reshape(S * A, S), radius[h].reshape(S * A, S)
        for i in range(S * A):
            rules += [z[h][i] <= d[h][i] * (centre + width)[i], z[h][i] >= d[h][i] * (centre - width)[i]]
    program = cp.Problem(cp.Maximize(sum(d[h] @ objective[h].ravel() for h in range(H))), rules)
    program.solve(solver=cp.HIGHS)
    return program.value


def tense_program(seed, width):
    """Return a random program whose constraint costs something."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed)
    objective, constraint = rng.random((2, 3, 3, 2))
    radius = width * rng.random(mdp.P.shape)
    free = extended_program(mdp.P, radius, mdp.rho, objective, constraint, 0.0)
    most = extended_program(mdp.P, radius, mdp.rho, constraint, constraint, 0.0)
    threshold = most.value - 0.05
    return (mdp.P, radius, mdp.rho, objective, constraint, threshold), free.value


@pytest.mark.parametrize("width", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_extended_program_agrees_with_an_independent_one(seed, width):
    program, unconstrained = tense_program(seed, width)
    plan = extended_program(*program)
    assert plan.status == SOLVED
    assert plan.value == pytest.approx(constrained_optimum(*program), abs=SOLVER)
    assert plan.value < unconstrained - 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_the_occupancy_program_is_the_extended_one_without_a_box(seed):
    (P, _, rho, objective, constraint, threshold), _ = tense_program(seed, 0.0)
    plan = occupancy_program(P, rho, objective, constraint, threshold)
    nothing = np.zeros(P.shape)
    expected = constrained_optimum(P, nothing, rho, objective, constraint, threshold)
    assert plan.value == pytest.approx(expected, abs=SOLVER)
    for reward, least in ((objective, expected), (constraint, threshold)):
        value = optimistic_policy_value(P, nothing, reward, rho, plan.policy.probabilities)
        assert value >= least - SOLVER


def test_an_impossible_constraint_is_reported_as_infeasible():
    (P, radius, rho, objective, constraint, _), _ = tense_program(0, 0.1)
    for plan in (
        occupancy_program(P, rho, objective, constraint, 3.1),
        extended_program(P, radius, rho, objective, constraint, 3.1),
    ):
        assert plan.status == INFEASIBLE
        assert plan.policy is None
        assert np.isnan(plan.value)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_mean_in_a_box_agrees_with_a_linear_program(seed):
    rng = np.random.default_rng(seed)
    S = int(rng.integers(1, 6))
    p, radius, V = rng.dirichlet(np.full(S, 0.5)), rng.random(S) * 0.5, rng.random(S)
    limits = np.stack([np.maximum(0, p - radius), np.minimum(1, p + radius)], axis=1)
    best = -linprog(-V, A_eq=np.ones((1, S)), b_eq=[1.0], bounds=limits).fun
    assert largest_mean(p, radius, np.argsort(-V), V) == pytest.approx(best, abs=SOLVER)


def with_huge_counts(problem, learner, visits=1 << 40):
    """Return the learner's state after so many visits of every cell, with frequencies equal to P."""
    state = learner.init(problem.spec(1000), np.random.default_rng(0))
    state.n_next[:] = np.round(problem.mdp.P * visits)
    state.n[:] = state.n_next.sum(axis=-1)
    return state


def dyadic(problem):
    """Return the problem with probabilities rounded to multiples of 1/64, which counts can equal."""
    mdp = problem.mdp
    P = np.floor(mdp.P * 64) / 64
    P[..., 0] += 1 - P.sum(axis=-1)
    return EpisodicProblem(EpisodicMDP(P, mdp.r, mdp.rho), "dyadic", problem.baseline, problem.threshold)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("seed", range(2))
def test_with_the_exact_kernel_each_method_finds_the_constrained_optimum(learner, seed):
    """A policy that is optimal for r + c b is within (1 + c) H max b of the optimum for r.

    With 2^40 visits every b is below 1e-4 and the factor c below 21 (a margin of at least .3 in a
    return of at most 3), so the loss is below 7e-3.
    """
    problem = dyadic(conservative(seed, kappa=0.4))
    mdp = problem.mdp
    state = with_huge_counts(problem, learner())
    decision = learner().plan(state)
    best = constrained_optimum(mdp.P, np.zeros(mdp.P.shape), mdp.rho, mdp.r, mdp.r, problem.threshold)
    assert decision.diagnostics["lp_status"] == SOLVED
    assert best - 7e-3 <= problem.value(decision) <= best + SOLVER
    assert best == pytest.approx(problem.benchmark, abs=SOLVER)


def test_an_infeasible_program_plays_the_baseline_and_says_so():
    problem = conservative(0)
    learner = OptCMDP()
    state = with_huge_counts(problem, learner)
    state.threshold = 2.99
    decision = learner.plan(state)
    assert decision.policy is problem.baseline
    assert decision.diagnostics["lp_status"] == INFEASIBLE
    assert np.isnan(decision.diagnostics["lp_value"])


def easy(seed=4):
    """Return a model whose uniform baseline has a wide margin and leaves much to gain."""
    return conservative(seed, kappa=0.8, S=2, A=2, H=2)


@pytest.mark.parametrize("learner", [OptPessLP, DOPE])
@pytest.mark.parametrize("problem", [hazard(kappa=1.0), easy()], ids=["hazard", "random"])
def test_the_pessimistic_methods_never_violate_and_still_leave_the_baseline(learner, problem):
    trace = play(problem, learner(delta=UNLIKELY), 200_000, 0)
    status, certificate = (trace.stretch_diagnostics[name] for name in ("lp_status", "certificate"))
    assert trace.stretch_values.min() >= problem.threshold
    assert np.all(trace.stretch_values >= certificate - ROUNDING)
    assert trace.count(status == SOLVED) > 0
    assert trace.count(status == SOLVED) + trace.count(status == -1) == trace.rounds
    assert np.all(certificate[status == SOLVED] >= problem.threshold)


@pytest.mark.parametrize("learner", [OptPessLP, DOPE])
def test_once_the_baseline_is_certified_the_program_bounds_the_optimum(learner):
    problem = easy()
    trace = play(problem, learner(delta=UNLIKELY), 200_000, 1)
    value = trace.stretch_diagnostics["lp_value"]
    solved = trace.stretch_diagnostics["lp_status"] == SOLVED
    assert solved.any()
    assert np.all(value[solved] >= problem.benchmark - SOLVER)
    assert trace.stretch_values[-1] > trace.stretch_values[0] + 0.1


@pytest.mark.parametrize("learner", [OptPessLP, DOPE])
def test_mutant_with_small_bonuses_violates(learner):
    """The safety check can fail: with a thousandth of the bonus it does, in most runs."""
    problem = hazard(kappa=0.1)
    violations = 0
    for seed in range(5):
        trace = play(problem, learner(bonus_scale=1e-3), 300, seed)
        violations += bool(trace.values.min() < problem.threshold - 1e-3)
    assert violations >= 3


def test_the_optimistic_method_does_violate():
    problem = hazard(kappa=0.1)
    trace = play(problem, OptCMDP(), 300, 0)
    assert trace.values.min() < problem.threshold
    assert np.all(trace.diagnostics["lp_value"] >= problem.benchmark - SOLVER)


def test_dope_plays_the_baseline_for_as_long_as_it_is_told():
    problem = easy()
    trace = play(problem, DOPE(baseline_episodes=150_000, refresh_growth=0.1), 200_000, 0)
    first = int(np.argmax(trace.diagnostics["lp_status"] == SOLVED))
    assert first >= 150_000
    assert trace.values[first - 1] == pytest.approx(
        problem.value(
            AlwaysBaseline().plan(AlwaysBaseline().init(problem.spec(1), np.random.default_rng(0)))
        ),
        abs=ROUNDING,
    )


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("growth", [0.0, 1.0])
def test_held_stepwise_and_resumed_runs_agree(learner, growth, tmp_path):
    problem, agent = hazard(kappa=1.0), learner(bonus_scale=0.01, refresh_growth=growth)
    whole = play(problem, agent, 40, 2)
    assert whole.same_as(play(problem, agent, 40, 2, stepwise=True))
    part = Run(problem, agent, 40, 2).advance(17)
    part.save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@pytest.mark.parametrize(
    "agent",
    [
        illustrative(UCBVI, bonus_scale=0.01),
        illustrative(UCBVI, bonus="hoeffding", bonus_scale=0.01),
        PSRL(),
        AlwaysBaseline(),
        FixedMixture(optimist=illustrative(UCBVI, bonus_scale=0.01)),
        illustrative(OptCMDP, bonus_scale=0.01),
        illustrative(OptPessLP, bonus_scale=0.01),
        illustrative(DOPE, bonus_scale=0.01),
    ],
    ids=lambda agent: f"{agent.key}-{getattr(agent, 'bonus', '')}",
)
def test_decisions_depend_on_what_was_seen_and_not_on_the_true_kernel(agent):
    """The episodes of one model, replayed to a learner of another, lead to the same decisions."""
    problem = conservative(1, kappa=1.0)
    other = random_mdp(2, noise=RewardNoise("none"))
    twin = EpisodicProblem(
        EpisodicMDP(other.P, problem.mdp.r, problem.mdp.rho), "twin", problem.baseline, problem.threshold
    )
    state = agent.init(twin.spec(60), np.random.default_rng(9))
    original = Replay(agent, np.random.default_rng(9))
    for _, decision, observation in episodes(problem, original, 60, seed=3):
        replayed = agent.plan(state)
        assert replayed.diagnostics.keys() == decision.diagnostics.keys()
        for name, value in decision.diagnostics.items():
            np.testing.assert_array_equal(replayed.diagnostics[name], value)
        assert problem.value(replayed) == problem.value(decision)
        state = agent.update(state, replayed, observation)


class Replay:
    """The same learner with a stream of its own, so that two copies can be given equal ones."""

    def __init__(self, agent, rng):
        self.agent, self.rng = agent, rng
        self.plan, self.update = agent.plan, agent.update

    def init(self, spec, rng):
        return self.agent.init(spec, self.rng)


@pytest.mark.parametrize("learner", LEARNERS)
def test_what_is_missing_is_named(learner):
    plain = EpisodicProblem(random_mdp(0))
    with pytest.raises(ValueError, match=rf"{learner.key} needs .*spec\.baseline is None"):
        play(plain, learner(), 5)
    secret = EpisodicProblem(random_mdp(0), baseline=Policy.uniform(3, 2), threshold=0.0, known_rewards=False)
    with pytest.raises(ValueError, match=rf"{learner.key} needs known rewards"):
        play(secret, learner(), 5)
    for options in ({"delta": 2.0}, {"bonus_scale": 0.0}, {"refresh_growth": -1.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            learner(**options)
    assert learner().guaranteed
    assert not learner(bonus_scale=0.5).guaranteed


def test_a_negative_number_of_baseline_episodes_is_refused():
    with pytest.raises(ValueError, match="baseline_episodes"):
        DOPE(baseline_episodes=-1)
