"""What the preference games promise."""

import numpy as np

from theoryrl.instances import bradley_terry, intransitive_contexts, random_tournament, rock_paper_scissors
from theoryrl.solvers import lipschitz_constant, von_neumann_winner


def test_rock_paper_scissors_has_the_stated_constants():
    model = rock_paper_scissors()
    assert lipschitz_constant(model.game)[0] == 0.375
    np.testing.assert_allclose(von_neumann_winner(model.game).policy.probabilities, [[1 / 3] * 3])
    assert model.log_reference[0, 0] - model.log_reference[0, 1] == 1


def test_a_tournament_has_one_winner():
    for seed in range(5):
        assert von_neumann_winner(random_tournament(seed=seed).game).unique == (True,)


def test_the_winner_of_a_transitive_game_is_its_best_action():
    game = bradley_terry().game
    winner = von_neumann_winner(game).policy.probabilities[0]
    assert winner[np.argmax(game.P.sum(axis=1))] == 1


def test_most_contexts_of_the_intransitive_game_have_a_mixed_winner():
    model = intransitive_contexts()
    assert model.shape == (50, 20)
    assert model.game.rho.sum() == 1 or abs(model.game.rho.sum() - 1) < 1e-12
    mixed = von_neumann_winner(model.game).policy.probabilities.max(axis=1) < 1
    assert mixed.mean() > 0.5
