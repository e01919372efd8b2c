"""A run does not depend on how it is cut: into calls, into single rounds, or by a checkpoint."""

import hashlib
import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import random_mdp, random_mixture, random_policy, random_rows, seeds
from theoryrl.models import (
    ConservativeMDP,
    DeterministicPolicy,
    EpisodicMDP,
    MixturePolicy,
    Policy,
    RewardNoise,
)
from theoryrl.protocol import (
    EpisodicDecision,
    EpisodicProblem,
    Run,
    Streams,
    as_problem,
    episodic,
    play,
)
from theoryrl.protocol.core import check_learner
from theoryrl.solvers import backward_induction, policy_value, simulate_episodes


@dataclass(frozen=True)
class Wanderer:
    """Plays random policies and remembers what it sees.

    With `patience` g > 0 a policy is held until some (h, s, a) has been visited 1 + g n more times,
    n being its count so far; with g = 0 each episode has its own policy.
    """

    key: ClassVar[str] = "wanderer"
    kind: str = "markov"
    patience: float = 1.0
    silent: bool = False

    @property
    def guaranteed(self):
        return False

    def init(self, spec, rng):
        return {"rng": rng, "n": np.zeros(spec.shape, dtype=np.int64), "seen": []}

    def plan(self, state):
        rng, (H, S, A) = state["rng"], state["n"].shape
        policy = {
            "markov": lambda: random_policy(rng, H, S, A),
            "deterministic": lambda: DeterministicPolicy(rng.integers(A, size=(H, S)), A),
            "mixture": lambda: random_mixture(rng, H, S, A),
        }[self.kind]()
        visits = 1 + (self.patience * state["n"]).astype(np.int64) if self.patience else None
        if self.silent:
            return EpisodicDecision(policy, visits)
        return EpisodicDecision(policy, visits, {"visits": float(state["n"].sum())})

    def update(self, state, decision, observation):
        H = state["n"].shape[0]
        stage = np.broadcast_to(np.arange(H), observation.actions.shape)
        np.add.at(state["n"], (stage, observation.states[:, :-1], observation.actions), 1)
        state["seen"].append(observation)
        return state


def observations(run):
    """All that the learner saw, as three arrays."""
    return [np.concatenate(parts) for parts in zip(*run.state["seen"], strict=True)]


def assert_same_run(left, right):
    assert left.played == right.played
    assert left.trace.same_as(right.trace)
    np.testing.assert_array_equal(left.trace.lengths, right.trace.lengths)
    for a, b in zip(observations(left), observations(right), strict=True):
        np.testing.assert_array_equal(a, b)


LEARNERS = [
    Wanderer(kind, patience)
    for kind in ("markov", "deterministic", "mixture")
    for patience in (0.0, 0.5, 2.0)
]
every_learner = pytest.mark.parametrize("learner", LEARNERS, ids=repr)
PROBLEM = EpisodicProblem(random_mdp(0, noise=RewardNoise("gaussian", 0.5)))
ROUNDS = 60


def start(learner, seed=1, **options):
    return Run(PROBLEM, learner, ROUNDS, seed, **options)


def audit(problem, state, decision):
    """Two numbers that need the true model or the state."""
    return {"audited value": problem.value(decision), "visits seen": float(state["n"].sum())}


@every_learner
def test_fused_equals_stepwise(learner):
    fused, stepwise = start(learner).advance(), start(learner, stepwise=True).advance()
    assert_same_run(fused, stepwise)
    if learner.patience:
        assert len(fused.state["seen"]) < len(stepwise.state["seen"]) == ROUNDS


@every_learner
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(1, 25), max_size=6))
def test_pieces_equal_the_whole(learner, cuts):
    run = start(learner)
    for rounds in cuts:
        before = run.played
        run.advance(rounds)
        assert run.played == min(before + rounds, ROUNDS)
        assert run.trace.rounds == run.played
    assert_same_run(run.advance(), start(learner).advance())


@every_learner
@pytest.mark.parametrize("rounds", [0, 1, 17, 59])
def test_a_run_that_was_saved_and_resumed_equals_one_that_was_not(learner, rounds, tmp_path):
    start(learner, audit=audit).advance(rounds).save(tmp_path / "run")
    resumed = Run.load(tmp_path / "run")
    assert resumed.played == rounds
    assert_same_run(resumed.advance(), start(learner, audit=audit).advance())


def test_saving_does_not_disturb_the_run(tmp_path):
    run = start(LEARNERS[1])
    for i in range(4):
        run.advance(10).save(tmp_path / "run")
        assert [path.name for path in tmp_path.iterdir()] == ["run"], i
    assert_same_run(run.advance(), start(LEARNERS[1]).advance())


def test_a_learner_without_diagnostics_can_be_saved(tmp_path):
    start(Wanderer(silent=True)).advance(9).save(tmp_path / "run")
    resumed = Run.load(tmp_path / "run").advance()
    assert resumed.trace.diagnostics == {}
    assert_same_run(resumed, start(Wanderer(silent=True)).advance())


def test_blocks_of_a_long_hold_equal_one_call(monkeypatch):
    whole = start(Wanderer(patience=5.0)).advance()
    monkeypatch.setattr(episodic, "MAX_BLOCK", 4)
    blocks = start(Wanderer(patience=5.0)).advance()
    assert max(len(seen.actions) for seen in blocks.state["seen"]) == 4
    assert max(len(seen.actions) for seen in whole.state["seen"]) > 4
    assert_same_run(whole, blocks)


@given(seed=seeds)
@settings(max_examples=40)
def test_a_damaged_checkpoint_is_refused(seed, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    start(LEARNERS[1]).advance(5).save(path)
    rng, content = np.random.default_rng(seed), bytearray(path.read_bytes())
    if rng.random() < 0.3:
        content = content[: rng.integers(len(content))]
    else:
        content[rng.integers(len(content))] ^= rng.integers(1, 256)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run is damaged: its checksum does not match"):
        Run.load(path)


def test_something_else_with_a_checksum_is_refused(tmp_path):
    body = pickle.dumps([1, 2, 3])
    (tmp_path / "list").write_bytes(hashlib.sha256(body).digest() + body)
    with pytest.raises(ValueError, match="list does not hold a run"):
        Run.load(tmp_path / "list")


@every_learner
def test_a_decision_is_held_exactly_until_its_visits_are_spent(learner):
    """Replays the rule from the outside: lengths of the stretches follow from what was observed."""
    run = start(learner).advance()
    states, actions, _ = observations(run)
    n, lengths, k = np.zeros(PROBLEM.mdp.r.shape, dtype=np.int64), [], 0
    while k < ROUNDS:
        limit, new = 1 + (learner.patience * n).astype(int), np.zeros_like(n)
        first = k
        while k < ROUNDS and (k == first or (learner.patience and (new < limit).all())):
            for h in range(3):
                new[h, states[k, h], actions[k, h]] += 1
            k += 1
        n += new
        lengths.append(k - first)
    np.testing.assert_array_equal(run.trace.lengths, lengths)


def test_playing_a_decision_leaves_it_as_it_was():
    environment = PROBLEM.environment(Streams.from_seed(0))
    decision = EpisodicDecision(Policy.uniform(3, 2), np.full((3, 3, 2), 4))
    environment.begin(decision)
    assert environment.interact(decision, 1000).finished
    np.testing.assert_array_equal(decision.visits, 4)


def test_same_seed_same_trace_other_seed_other_trace():
    first, again, other = (start(LEARNERS[0], seed).advance().trace for seed in (3, 3, 4))
    assert first.same_as(again)
    assert not first.same_as(other)


def test_the_streams_of_a_run_are_independent_of_each_other():
    draws = [stream.random(4) for seed in (0, 1) for stream in Streams.from_seed(seed)]
    assert len({tuple(numbers) for numbers in draws}) == 6


def test_what_the_learner_draws_does_not_move_the_environment():
    """Learners with equal decisions see equal episodes, however much randomness they use up."""

    class Spendthrift(Wanderer):
        def plan(self, state):
            state["rng"].random(1000)
            return EpisodicDecision(Policy.uniform(3, 2))

    class Frugal(Wanderer):
        def plan(self, state):
            return EpisodicDecision(Policy.uniform(3, 2))

    for a, b in zip(
        observations(start(Spendthrift()).advance()), observations(start(Frugal()).advance()), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@every_learner
def test_values_are_exact_and_regret_is_their_distance_to_the_optimum(learner):
    seen = []

    def remember(problem, state, decision):
        seen.append(decision.policy)
        return {}

    trace = start(learner, audit=remember).advance().trace
    best = backward_induction(PROBLEM.mdp).start_value
    values = np.repeat([policy_value(PROBLEM.mdp, policy) for policy in seen], trace.lengths)
    np.testing.assert_array_equal(trace.values, values)
    assert trace.benchmark == best
    assert (trace.values <= best).all()
    np.testing.assert_array_equal(trace.regret, np.cumsum(best - values))
    # Sums of at most 60 numbers of at most 3, in two orders.
    tolerance = 2 * ROUNDS * 3 * ROUNDS * 2.0**-53
    assert trace.final_regret == pytest.approx(trace.regret[-1], abs=tolerance)
    rounds = np.arange(1, ROUNDS + 1)
    np.testing.assert_allclose(trace.regret_at(rounds), trace.regret, rtol=0, atol=tolerance)


def test_diagnostics_of_learner_and_audit_are_repeated_over_the_rounds():
    trace = start(Wanderer(), audit=audit).advance().trace
    assert set(trace.diagnostics) == {"visits", "audited value", "visits seen"}
    np.testing.assert_array_equal(trace.diagnostics["audited value"], trace.values)
    starts = np.concatenate([[0], np.cumsum(trace.lengths)[:-1]])
    np.testing.assert_array_equal(trace.stretch_diagnostics["visits"], 3 * starts)
    np.testing.assert_array_equal(trace.diagnostics["visits seen"], np.repeat(3 * starts, trace.lengths))
    late = trace.stretch_diagnostics["visits"] >= 30
    assert trace.count(late) == (trace.diagnostics["visits"] >= 30).sum()


def test_a_trace_says_who_played_what():
    trace = play(PROBLEM, Wanderer(), 5, seed=7)
    assert (trace.learner, trace.problem, trace.seed, trace.guaranteed) == (
        repr(Wanderer()),
        "episodic",
        7,
        False,
    )
    assert trace.rounds == 5


def test_play_takes_a_model_and_equals_a_run():
    trace = play(PROBLEM.mdp, Wanderer(), ROUNDS, seed=1, stepwise=True)
    assert trace.same_as(start(Wanderer()).advance().trace)


def test_models_become_problems():
    mdp = random_mdp(0)
    conservative = ConservativeMDP(mdp, Policy.uniform(3, 2), 0.1)
    problem = as_problem(conservative)
    assert (problem.key, problem.baseline, problem.threshold) == ("conservative", conservative.baseline, 0.1)
    assert as_problem(problem) is problem
    assert as_problem(mdp, key="mine").key == "mine"
    with pytest.raises(TypeError, match="expected a model or a problem; got int"):
        as_problem(3)


def test_a_baseline_must_satisfy_its_own_constraint():
    mdp = random_mdp(0)
    baseline = Policy.uniform(3, 2)
    value = policy_value(mdp, baseline)
    EpisodicProblem(mdp, baseline=baseline, threshold=np.nextafter(value, 0))
    with pytest.raises(ValueError, match=r"threshold must be below the baseline's value .*; got"):
        EpisodicProblem(mdp, baseline=baseline, threshold=value)


def test_what_does_not_fit_the_model_is_refused_before_a_run():
    mdp = random_mdp(0)
    H, S, A = mdp.r.shape
    data = simulate_episodes(mdp, Policy.uniform(S, A), 3, np.random.default_rng(0))
    longer = random_mdp(0, H=H + 1)
    refusals = [
        ({"baseline": Policy.uniform(S + 1, A)}, r"policy has \(S, A\)"),
        (
            {"baseline": MixturePolicy(np.ones(1), (Policy.uniform(S, A),))},
            "baseline must be a Markov policy",
        ),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"threshold": "high"}, "threshold must be a real number"),
    ]
    for options, message in refusals:
        with pytest.raises(ValueError, match=message):
            EpisodicProblem(mdp, **options)
    with pytest.raises(ValueError, match=r"offline must have \(H, S, A\) = .* of the model; got"):
        EpisodicProblem(longer, offline=data)
    EpisodicProblem(mdp, offline=data)


def test_the_spec_tells_what_the_problem_permits_and_never_the_kernel():
    rng = np.random.default_rng(0)
    mdp = EpisodicMDP(random_rows(rng, (2, 3, 2, 3), True), rng.random((2, 3, 2)), [0.5, 0.5, 0.0])
    hidden = EpisodicProblem(mdp, known_rewards=False).spec(10)
    assert hidden.rewards is None
    assert hidden.support is None
    assert (hidden.shape, hidden.rounds, hidden.noisy_rewards) == ((2, 3, 2), 10, False)
    np.testing.assert_array_equal(hidden.rho, mdp.rho)
    told = EpisodicProblem(mdp, known_support=True).spec(10)
    np.testing.assert_array_equal(told.rewards, mdp.r)
    np.testing.assert_array_equal(told.support, mdp.P > 0)
    assert PROBLEM.spec(3).noisy_rewards
    for spec in (hidden, told):
        arrays = [field for field in vars(spec).values() if isinstance(field, np.ndarray)]
        assert not any(np.shares_memory(mdp.P, array) for array in arrays)


@pytest.mark.parametrize(("rounds", "seed", "name"), [(0, 0, "rounds"), (-1, 0, "rounds"), (5, -1, "seed")])
def test_rounds_and_seeds_are_counts(rounds, seed, name):
    with pytest.raises(ValueError, match=f"^{name} must be at least"):
        Run(PROBLEM, Wanderer(), rounds, seed)


def test_a_mixture_is_valued_with_its_coin():
    mdp = PROBLEM.mdp
    pair = [DeterministicPolicy([0, 0, 0], 2), Policy.uniform(3, 2)]
    value = PROBLEM.value(EpisodicDecision(MixturePolicy([0.25, 0.75], pair)))
    expected = 0.25 * policy_value(mdp, pair[0]) + 0.75 * policy_value(mdp, pair[1])
    assert value == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("stranger", [3, None, "stepmix", Wanderer])
def test_what_is_no_learner_is_refused_by_name(stranger):
    with pytest.raises(TypeError, match=r"^learner must be a learner \(init, plan, update\); got"):
        check_learner("learner", stranger)
