"""StepMix, EpsMix, BPI-UCBVI and the budget learner: what a run is, and what bad input gets.

The theorems themselves are checked in proofs_checks/test_stepmix.py.
"""

import math

import numpy as np
import pytest

from theoryrl.instances import coin, hazard, random_conservative
from theoryrl.learners import BPIUCBVI, Budget, EpsMix, StepMix, learn_baseline
from theoryrl.models import EpisodicMDP, OfflineDataset, Policy, RewardNoise
from theoryrl.protocol import EpisodicProblem, Outcome, Run, play
from theoryrl.solvers import policy_value, simulate_episodes
from theoryrl.theory.evidence.comparisons import policy_code
from theoryrl.theory.evidence.conservative import ROUNDING, FamilyAudit, audited_run

LEARNERS = {
    "stepmix": StepMix,
    "stepmix, bernstein": lambda **o: StepMix(bounds="bernstein", **o),
    "stepmix, optimistic-first": lambda **o: StepMix(orientation="optimistic-first", **o),
    "stepmix, best-ucb": lambda **o: StepMix(switch_rule="best-ucb", **o),
    "epsmix": EpsMix,
    "epsmix, bpi-ucbvi": lambda **o: EpsMix(bounds="bpi-ucbvi", **o),
    "bpi-ucbvi": BPIUCBVI,
    "budget": Budget,
}
every_learner = pytest.mark.parametrize("make", LEARNERS.values(), ids=LEARNERS)


@every_learner
@pytest.mark.parametrize("growth", [0.0, 0.1])
def test_stepwise_and_fused_runs_are_identical(make, growth):
    fused, stepwise = (
        play(hazard(), make(refresh_growth=growth), 300, seed=1, stepwise=flag) for flag in (False, True)
    )
    assert fused.same_as(stepwise)
    np.testing.assert_array_equal(fused.values, stepwise.values)


@every_learner
def test_run_saved_in_the_middle_of_a_stretch_resumes_bit_for_bit(make, tmp_path):
    model = random_conservative(seed=1)
    whole = play(model, make(refresh_growth=0.1), 3000, seed=2)
    run = Run(EpisodicProblem.from_conservative(model, "m"), make(refresh_growth=0.1), 3000, 2)
    run.advance(1717).save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


class Recorded:
    """An environment that answers with a recorded stream, whatever is decided."""

    def __init__(self, outcomes):
        self._outcomes = iter(outcomes)

    def begin(self, decision):
        pass

    def interact(self, decision, rounds):
        return next(self._outcomes)


class Tap:
    """A problem whose environment records (or replays) the interaction, while another model scores."""

    def __init__(self, problem, outcomes=None):
        self._problem, self._replayed, self.outcomes = problem, outcomes, []
        self.key, self.benchmark = problem.key, problem.benchmark
        self.decisions = []

    def spec(self, rounds):
        return self._problem.spec(rounds)

    def value(self, decision):
        self.decisions.append(decision)
        return 0.0

    def environment(self, streams):
        if self._replayed is not None:
            return Recorded(self._replayed)
        inner, outcomes = self._problem.environment(streams), self.outcomes

        class Recorder:
            begin = staticmethod(inner.begin)

            @staticmethod
            def interact(decision, rounds):
                outcome = inner.interact(decision, rounds)
                outcomes.append(Outcome(*outcome))
                return outcome

        return Recorder()


@every_learner
def test_decisions_depend_on_the_interaction_alone_and_not_on_the_true_kernel(make):
    model = random_conservative(seed=2)
    true = EpisodicProblem(model.mdp, "true", model.baseline, model.threshold)
    scrambled = EpisodicMDP(np.roll(model.mdp.P, 1, axis=0), model.mdp.r, model.mdp.rho)
    value = policy_value(scrambled, model.baseline)
    assert value != policy_value(model.mdp, model.baseline)
    other = EpisodicProblem(scrambled, "other", model.baseline)
    object.__setattr__(other, "threshold", model.threshold)  # which may be infeasible there
    first = Tap(true)
    Run(first, make(refresh_growth=0.1), 400, 0).advance()
    second = Tap(other, first.outcomes)
    Run(second, make(refresh_growth=0.1), 400, 0).advance()
    assert len(first.decisions) == len(second.decisions)
    for a, b in zip(first.decisions, second.decisions, strict=True):
        assert a.diagnostics == b.diagnostics
        assert type(a.policy) is type(b.policy)
        assert policy_code(true, None, a) == policy_code(true, None, b)


@every_learner
@pytest.mark.parametrize("stepwise", [False, True])
def test_every_transition_is_counted_once(make, stepwise):
    """Counted twice, the claims would still hold in 198 of 200 runs at delta = .5."""
    tap = Tap(EpisodicProblem.from_conservative(random_conservative(seed=2), "m"))
    family = Run(tap, make(refresh_growth=0.1), 200, 0, stepwise=stepwise).advance().state.family
    seen = np.zeros_like(family.n_next)
    for outcome in tap.outcomes:
        states, actions, _ = outcome.observation
        stage = np.broadcast_to(np.arange(actions.shape[1]), actions.shape)
        np.add.at(seen, (stage, states[:, :-1], actions, states[:, 1:]), 1)
    assert seen.sum() == 200 * len(seen)
    np.testing.assert_array_equal(family.n_next, seen)
    np.testing.assert_array_equal(family.n, seen.sum(axis=3))


@pytest.mark.parametrize("make", [StepMix, EpsMix])
def test_unknown_deterministic_rewards_are_learnt_and_the_run_stays_safe(make):
    model = hazard()
    problem = EpisodicProblem(model.mdp, "m", model.baseline, model.threshold, known_rewards=False)
    trace = play(problem, make(refresh_growth=0.1), 3000, 0, audit=FamilyAudit())
    assert trace.values.min() >= model.threshold - ROUNDING
    assert trace.values[-1] > trace.values[0]
    assert min(trace.diagnostics[f"{side}_claim"].min() for side in ("upper", "lower")) >= -ROUNDING


def test_unknown_noisy_rewards_are_refused():
    model = hazard()
    noisy = EpisodicMDP(model.mdp.P, model.mdp.r, model.mdp.rho, noise=RewardNoise("bernoulli"))
    problem = EpisodicProblem(noisy, "m", model.baseline, model.threshold, known_rewards=False)
    with pytest.raises(ValueError, match=r"spec\.rewards is missing"):
        play(problem, StepMix(), 5)


def test_rewards_outside_the_unit_interval_are_refused():
    mdp = EpisodicMDP.stationary(np.ones((1, 1, 1)), [[2.0]], [1.0], 2, reward_range=(0, 2))
    problem = EpisodicProblem(mdp, "m", Policy.uniform(1, 1), 1.0)
    with pytest.raises(ValueError, match="reward_range"):
        play(problem, StepMix(), 5)


def test_known_support_makes_the_bounds_sharper_and_keeps_them_true():
    model = hazard(p=0.3, kappa=0.1)
    counts = []
    for known in (False, True):
        problem = EpisodicProblem(model.mdp, "m", model.baseline, model.threshold, known_support=known)
        trace = play(problem, StepMix(refresh_growth=0.1), 20_000, 0)
        assert trace.values.min() >= model.threshold - ROUNDING
        counts.append(trace.count(trace.stretch_diagnostics["kind"] != 0))
    assert counts[1] < counts[0]


def test_several_modes_at_once_are_never_looser_than_the_trivial_bounds_and_stay_safe():
    run = audited_run(hazard(), StepMix(bounds="kl+bernstein", refresh_growth=0.1), 2000, 0, "both")
    assert run.true_claims
    assert run.trace.values.min() >= run.threshold - ROUNDING


@pytest.mark.parametrize("options", [{"clip": True}, {"running": False}, {"n_min": 2}])
def test_refinements_keep_every_claim_true(options):
    run = audited_run(coin(kappa=0.1), StepMix(refresh_growth=0.1, **options), 3000, 0, "refined")
    assert run.true_claims
    assert run.trace.values.min() >= run.threshold - ROUNDING


def test_a_start_distribution_is_averaged_over():
    """The constraint is on the average value, not on that of each first state."""
    model = random_conservative(seed=0)
    rho = np.array([0.2, 0.3, 0.1, 0.4, 0.0])
    mdp = EpisodicMDP(model.mdp.P, model.mdp.r, rho)
    threshold = policy_value(mdp, model.baseline) - 0.2

    def averaged(problem, state, decision):
        family, choice = state.family, state.choice
        bold, conservative = (problem.mdp.rho @ family.L[j, 0] for j in (choice.bold, choice.switch))
        return {"average": choice.weight * conservative + (1 - choice.weight) * bold}

    problem = EpisodicProblem(mdp, "m", model.baseline, threshold)
    trace = play(problem, StepMix(refresh_growth=0.1), 3000, 0, audit=averaged)
    assert trace.values.min() >= threshold - ROUNDING
    np.testing.assert_allclose(trace.diagnostics["lower"], trace.diagnostics["average"], atol=ROUNDING)


@pytest.mark.parametrize("bound", [None, 2.6])
def test_relative_loss_keeps_the_stated_share_of_the_baselines_value(bound):
    """hazard: V^b = 2.5; with an upper bound of 2.6 the threshold is (1 - alpha) 2.6."""
    model = hazard()
    problem = EpisodicProblem(model.mdp, "m", model.baseline)
    learner = StepMix(relative_loss=0.08, baseline_value_bound=bound, refresh_growth=0.1)
    trace = play(problem, learner, 3000, 0)
    assert trace.values.min() >= 0.92 * 2.5 - ROUNDING
    moving = trace.stretch_diagnostics["threshold"]
    assert (moving >= 0.92 * 2.5 - ROUNDING).all()
    assert np.ptp(moving) == 0 if bound else moving[0] > moving[-1]


@pytest.mark.parametrize("method", ["fold-hoeffding", "fold-bernstein", "vi-lcb", "kl"])
def test_learned_policy_is_the_best_or_next_to_best_given_much_data(method):
    """On hazard with p = .3 the two best policies are worth 2.86 and 2.80, the behaviour 2.41.

    So many episodes because of vi-lcb, whose bonus of order c H log / n keeps about a quarter of them:
    with 60,000 its certificate is 2.29.
    """
    model = hazard(p=0.3, kappa=0.2)
    behaviour = Policy.uniform(2, 2)
    data = simulate_episodes(model.mdp, behaviour, 200_000, np.random.default_rng(0))
    learned = learn_baseline(data, model.mdp.r, model.mdp.rho, 0.05, method)
    value = policy_value(model.mdp, learned.policy)
    optimum = EpisodicProblem(model.mdp).benchmark
    assert learned.certificate <= value + ROUNDING
    assert value >= optimum - 0.06 - ROUNDING
    assert learned.certificate > policy_value(model.mdp, behaviour)


def test_a_threshold_that_is_stated_twice_or_cannot_be_met_is_refused():
    model = hazard()
    with pytest.raises(ValueError, match=r"problem states one, spec\.threshold = 2\.4: drop relative_loss"):
        play(model, StepMix(relative_loss=0.08), 5)
    problem = EpisodicProblem(model.mdp, "m", model.baseline)
    with pytest.raises(ValueError, match=r"must be below the horizon 5, .*; got 5\.52"):
        play(problem, StepMix(relative_loss=0.08, baseline_value_bound=6.0), 5)
    for value in (2.0, 5.5):
        with pytest.raises(
            ValueError, match=r"baseline_value must be above the threshold 2\.\d+ and at most"
        ):
            play(model, Budget(baseline_value=value), 5)


def test_a_relative_run_with_a_learned_baseline_is_relative_to_that_one():
    """Behaviour 80/20 on hazard: the learned policy is worth more than the behaviour."""
    model = hazard(p=0.3, kappa=0.2)
    stages = model.baseline.stages(5)
    data = simulate_episodes(
        model.mdp, Policy(0.8 * stages + 0.2 * stages[..., ::-1]), 1000, np.random.default_rng(0)
    )
    problem = EpisodicProblem(model.mdp, "m", offline=data)
    run = audited_run(problem, StepMix(offline="kl", relative_loss=0.1, refresh_growth=0.1), 2000, 0, "m")
    learned = learn_baseline(data, model.mdp.r, model.mdp.rho, 0.025, "kl")
    assert run.baseline_value == pytest.approx(policy_value(model.mdp, learned.policy), abs=ROUNDING)
    assert run.threshold == pytest.approx(0.9 * run.baseline_value, abs=ROUNDING)
    assert run.true_claims
    assert run.trace.values.min() >= run.threshold - ROUNDING


def test_an_audit_without_the_relative_loss_says_that_it_needs_it():
    model = hazard()
    problem = EpisodicProblem(model.mdp, "m", model.baseline)
    with pytest.raises(ValueError, match="relative_loss must be given to the audit"):
        play(problem, StepMix(relative_loss=0.08), 5, audit=FamilyAudit())


def _vi_lcb_reference(data, r, delta, linear, cap):
    """VI-LCB in plain loops: subsample by the auxiliary half, then a backward pass."""
    H, S, A = r.shape
    main, auxiliary = data.folds(2)
    V = np.zeros((H + 1, S))
    for h, s in sorted(np.ndindex(H, S), reverse=True):
        seen = int((auxiliary.states[:, h] == s).sum())
        trim = int(max(seen - 10 * math.sqrt(seen * math.log(H * S / delta)), 0))
        kept = [i for i in range(len(main)) if main.states[i, h] == s][:trim]
        for a in range(A):
            follows = [main.states[i, h + 1] for i in kept if main.actions[i, h] == a]
            if not follows:
                continue
            n, values = len(follows), V[h + 1, follows]
            log_term = 16 * math.log(len(data) * H / delta)
            bonus = min(math.sqrt(log_term * values.var() / n) + linear(h) * log_term / n, cap(h))
            bonus = bonus if h < H - 1 else 0.0
            V[h, s] = max(V[h, s], r[h, s, a] + values.mean() - bonus)
    return V[:-1]


def test_vi_lcb_has_the_recalled_bonus_with_the_whole_horizon_at_every_stage():
    """min(sqrt(c log(NH/delta) Var/n) + c H log(NH/delta)/n, H): H, not the H - h that is left."""
    model = hazard(p=0.3, kappa=0.2)
    mdp, H = model.mdp, 5
    data = simulate_episodes(mdp, Policy.uniform(2, 2), 20_000, np.random.default_rng(0))
    learned = learn_baseline(data, mdp.r, mdp.rho, 0.05, "vi-lcb")
    recalled = _vi_lcb_reference(data, mdp.r, 0.05, lambda h: H, lambda h: H)
    shorter = _vi_lcb_reference(data, mdp.r, 0.05, lambda h: H - h, lambda h: H)
    assert recalled[0, 0] > 0
    np.testing.assert_allclose(learned.lower, recalled, atol=ROUNDING)
    assert np.abs(learned.lower - shorter).max() > 0.01


def test_rewards_that_disagree_and_a_start_that_is_no_distribution_are_refused():
    mdp = hazard().mdp
    noisy = EpisodicMDP(mdp.P, mdp.r, mdp.rho, noise=RewardNoise("bernoulli"))
    data = simulate_episodes(noisy, Policy.uniform(2, 2), 20, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"data\.rewards\[0, \d\] must be free of noise"):
        learn_baseline(data, None, mdp.rho, 0.05)
    learn_baseline(data, mdp.r, mdp.rho, 0.05)
    with pytest.raises(ValueError, match=r"rho\[1\] must be a probability; got -2\.0"):
        learn_baseline(data, mdp.r, np.array([3.0, -2.0]), 0.05)


def test_methods_that_split_the_data_refuse_dependent_or_too_few_episodes():
    mdp = hazard().mdp
    data = simulate_episodes(mdp, Policy.uniform(2, 2), 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 5 episodes"):
        learn_baseline(data, mdp.r, mdp.rho, 0.05, "fold-hoeffding")
    dependent = OfflineDataset(data.states, data.actions, data.rewards, 2, 2, independent=False)
    with pytest.raises(ValueError, match=r"data\.independent must be true"):
        learn_baseline(dependent, mdp.r, mdp.rho, 0.05, "fold-bernstein")
    learn_baseline(dependent, mdp.r, mdp.rho, 0.05, "kl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, r"delta must be in \(0, 1\); got 0"),
        ({"delta": float("nan")}, "delta"),
        ({"bounds": None}, "bounds must be a text such as 'kl'"),
        ({"bounds": "hoeffding"}, "bounds must be one of kl, bernstein, bpi-ucbvi; got 'hoeffding'"),
        ({"bonus_scale": 0.0}, "bonus_scale must be positive"),
        ({"refresh_growth": -0.1}, "refresh_growth"),
        ({"orientation": "sideways"}, "orientation must be one of"),
        ({"n_min": 0}, "n_min must be at least 1"),
        ({"n_min": 10**20}, "n_min must be at least 1 and at most"),
        ({"bounds": None}, "bounds must be a text such as 'kl'.*got None"),
        ({"bonus_scale": 10**400}, "bonus_scale must be a finite number"),
        ({"running": "x"}, "running must be True or False; got 'x'"),
        ({"clip": 1}, "clip must be True or False; got 1"),
        ({"allow_uncertified": float("nan")}, "allow_uncertified must be True or False; got nan"),
        ({"warm_start": "no"}, "warm_start must be True or False; got 'no'"),
        ({"switch_rule": "max"}, "switch_rule must be one of min, best-ucb"),
        ({"relative_loss": 1.0}, "relative_loss"),
        ({"baseline_value_bound": 2.0}, "baseline_value_bound is used only together with relative_loss"),
        ({"offline": "magic"}, "offline must be one of"),
        ({"warm_start": True}, "warm_start is valid only"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        StepMix(**options)


def test_what_the_problem_lacks_is_named():
    model = hazard()
    with pytest.raises(ValueError, match=r"stepmix needs a problem with a threshold"):
        play(model.mdp, StepMix(), 5)
    with pytest.raises(ValueError, match=r"epsmix needs a problem with a baseline"):
        play(EpisodicProblem(model.mdp, "m", threshold=1.0), EpsMix(), 5)
    with pytest.raises(ValueError, match=r"needs spec\.offline"):
        play(EpisodicProblem(model.mdp, "m", threshold=1.0), StepMix(offline="kl"), 5)
    with pytest.raises(ValueError, match=r"threshold must be below the baseline's value 2\.5"):
        EpisodicProblem(model.mdp, "m", model.baseline, 2.5)
    with pytest.raises(ValueError, match="rounds must be at least 1 and at most 9007199254740992; got 0"):
        play(model, StepMix(), 0)
    with pytest.raises(ValueError, match="rounds must be at least 1 and at most 9007199254740992; got 1000"):
        play(model, StepMix(), 10**20)


def test_scaled_bonuses_are_announced_and_recorded():
    with pytest.warns(UserWarning, match="guarantee is void"):
        learner = StepMix(bonus_scale=0.5)
    assert not play(hazard(), learner, 5).guaranteed
    assert play(hazard(), StepMix(bonus_scale=2.0), 5).guaranteed


@pytest.mark.parametrize("known", [True, False])
def test_warm_started_bounds_are_true_whether_or_not_rewards_are_known(known):
    model = random_conservative(seed=0)
    data = simulate_episodes(model.mdp, model.baseline, 300, np.random.default_rng(0))
    problem = EpisodicProblem(model.mdp, "m", threshold=1.2, offline=data, known_rewards=known)
    learner = StepMix(offline="kl", warm_start=True, refresh_growth=0.1)
    trace = play(problem, learner, 3000, 0, audit=FamilyAudit())
    assert trace.diagnostics["upper_claim"].min() >= -ROUNDING
    assert trace.diagnostics["lower_claim"].min() >= -ROUNDING
