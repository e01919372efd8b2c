"""Preference games as problems: values are exact, queries are answered, policies are remembered safely."""

import numpy as np
import pytest

from tests.solvers.preference.games import random_game, random_regularized
from theoryrl.learners import NashMP
from theoryrl.protocol import EquilibriumAudit, PreferenceDecision, PreferenceProblem, as_problem, play
from theoryrl.protocol.core import Streams
from theoryrl.solvers.preference import exploitability, exploitability_gap, regularized_equilibrium
from theoryrl.solvers.simplex import log_normalize


def policy(rng, game):
    return log_normalize(rng.normal(size=game.shape))


def test_the_value_is_what_the_policy_guarantees_against_the_best_response_in_each_context():
    rng = np.random.default_rng(0)
    game = random_regularized(rng, "uniform", 4, 0.2, X=3)
    held = policy(rng, game)
    value = PreferenceProblem(game).value(PreferenceDecision(held, held))
    assert value == pytest.approx(0.5 - game.game.context_weights @ exploitability_gap(game, held), rel=1e-14)
    plain = PreferenceProblem(game.game).value(PreferenceDecision(held, held))
    losses = exploitability(game.game, np.exp(held))
    assert plain == pytest.approx(0.5 - game.game.context_weights @ losses, rel=1e-14)


def test_an_unregularised_game_tells_a_uniform_reference_and_no_weight():
    game = random_game(np.random.default_rng(0), "uniform", 4)
    spec = as_problem(game).spec(3)
    assert (spec.beta, spec.shape) == (0.0, (1, 4))
    np.testing.assert_allclose(np.exp(spec.log_reference), 0.25)
    assert as_problem(game).key == "preference"
    assert as_problem(game.regularized(0.1)).key == "regularized-preference"


def test_a_field_is_remembered_by_the_identity_of_the_policy_which_can_no_longer_change():
    rng = np.random.default_rng(1)
    game = random_regularized(rng, "uniform", 4, 0.2)
    problem = PreferenceProblem(game)
    first, second = policy(rng, game), policy(rng, game)
    answer = problem.field(first)
    assert problem.field(first) is answer
    problem.field(second)
    assert problem.field(first) is answer
    np.testing.assert_allclose(problem.field(first.copy()), answer)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1.0


def test_a_query_costs_one_round_and_duels_need_a_number():
    rng = np.random.default_rng(2)
    game = random_regularized(rng, "uniform", 4, 0.2, X=2)
    environment = PreferenceProblem(game).environment(Streams.from_seed(0))
    held = policy(rng, game)
    outcome = environment.interact(PreferenceDecision(held, held), 10)
    assert (outcome.rounds, outcome.finished) == (1, True)
    np.testing.assert_allclose(outcome.observation, np.einsum("xij,xj->xi", game.game.skew, np.exp(held)))
    duels = environment.interact(PreferenceDecision(held, held, held, 7), 1).observation
    assert {len(column) for column in duels} == {7}
    with pytest.raises(ValueError, match="duels must be at least 1; got 0"):
        environment.interact(PreferenceDecision(held, held, held), 1)


def test_the_audit_measures_what_it_says():
    game = random_regularized(np.random.default_rng(3), "intransitive", 5, 0.1, X=2)
    trace = play(game, NashMP(), 300, audit=EquilibriumAudit(regularized_equilibrium(game)))
    found = trace.diagnostics
    np.testing.assert_allclose(found["gap"], trace.benchmarks - trace.values, atol=1e-15)
    assert (found["kl"] + found["reverse_kl"] <= found["certificate"]).all()
    assert (0.1 * found["reverse_kl"] <= found["gap"] * (1 + 1e-6) + 1e-28).all()
    assert found["certificate"][-1] < 1e-20
    assert found["span"][-1] < 1e-8
