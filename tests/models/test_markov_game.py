"""Markov games refuse bad input by name, and come back from a file bit for bit."""

import numpy as np
import pytest

from tests.markov_games import random_game, random_memory
from theoryrl.instances import risky_game
from theoryrl.models import (
    CandidateGame,
    FiniteGameClass,
    FiniteMemoryPolicy,
    Policy,
    PolicyPair,
    ZeroSumMarkovGame,
    load,
    save,
)
from theoryrl.solvers import solve

P = np.full((2, 2, 2, 3, 2), 0.5)
R = np.full((2, 2, 2, 3), 0.25)
RHO = np.array([1.0, 0.0])


def changed(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((P[0], R, RHO), r"P must have shape \(H, S, A, B, S\)"),
        ((changed(P, (1, 0, 1, 2, 0), 0.6), R, RHO), r"P\[1, 0, 1, 2, :\] must sum to 1"),
        ((changed(P, (0, 0, 0, 0, 0), np.nan), R, RHO), r"P\[0, 0, 0, 0, 0\] must be finite"),
        ((P, changed(R, (1, 1, 0, 2), 1.5), RHO), r"r\[1, 1, 0, 2\] must be in \[0, 1\]; got 1.5"),
        ((P, R[:, :, :, :2], RHO), r"r must have shape \(2, 2, 2, 3\)"),
        ((P, R, np.array([0.5, 0.4])), "rho must sum to 1"),
    ],
)
def test_a_wrong_game_is_refused_by_the_first_wrong_number(arguments, message):
    with pytest.raises(ValueError, match=message):
        ZeroSumMarkovGame(*arguments)


def test_candidates_must_agree_in_what_is_known():
    game = ZeroSumMarkovGame(P, R, RHO)
    with pytest.raises(ValueError, match="at least one"):
        FiniteGameClass.from_games([])
    with pytest.raises(ValueError, match=r"games\[1\].r\[0, 1, 0, 0\] must equal that of games\[0\]"):
        FiniteGameClass.from_games([game, ZeroSumMarkovGame(P, changed(R, (0, 1, 0, 0), 0.5), RHO)])
    with pytest.raises(ValueError, match=r"games\[1\].P has shape"):
        FiniteGameClass.from_games([game, ZeroSumMarkovGame(P[:1], R[:1], RHO)])
    with pytest.raises(ValueError, match="it is known to the players"):
        CandidateGame(game, FiniteGameClass(P[None], changed(R, (0, 0, 0, 0), 0.5), RHO))
    with pytest.raises(ValueError, match="candidates have P of shape"):
        CandidateGame(game, FiniteGameClass(P[None, :1], R[:1], RHO))


def test_the_truth_is_found_among_candidates_or_not():
    model = risky_game()
    assert [model.candidates.index(model.candidates[m]) for m in range(8)] == list(range(8))
    other = random_game(5)
    assert CandidateGame(other, FiniteGameClass.from_games([other])).truth == 0
    half = FiniteGameClass(model.candidates.P[:4], model.candidates.r, model.candidates.rho)
    assert CandidateGame(model.game, half).truth is None


def test_a_memory_must_stay_in_its_range():
    nu, memory = np.full((1, 2, 2, 3), 1 / 3), np.zeros((1, 2, 2, 3, 2), dtype=int)
    assert FiniteMemoryPolicy(nu, memory).n_memories == 2
    with pytest.raises(ValueError, match=r"memory\[0, 1, 0, 2, 1\] must be in \[0, 2\); got 2"):
        FiniteMemoryPolicy(nu, changed(memory, (0, 1, 0, 2, 1), 2))
    with pytest.raises(ValueError, match="memory must have shape"):
        FiniteMemoryPolicy(nu, memory[..., :1])
    with pytest.raises(ValueError, match=r"probabilities\[0, 0, 0, :\] must sum to 1"):
        FiniteMemoryPolicy(nu / 2, memory)


@pytest.mark.parametrize("seed", range(3))
def test_games_and_their_policies_come_back_bit_for_bit(seed, tmp_path):
    game = random_game(seed)
    solution = solve(game)
    models = {
        "game": game,
        "candidates": CandidateGame(game, FiniteGameClass.from_games([game, game])),
        "memory": random_memory(game, np.random.default_rng(seed)),
        "pair": solution.policy,
    }
    for name, model in models.items():
        save(model, tmp_path / name)
        back = load(tmp_path / name)
        assert type(back) is type(model)
        assert repr(back) == repr(model)
        for field in ("P", "r", "rho", "probabilities", "memory", "opponent"):
            if hasattr(model, field):
                assert np.array_equal(getattr(model, field), getattr(back, field))
    assert np.array_equal(load(tmp_path / "candidates").candidates.P, models["candidates"].candidates.P)


def test_a_pair_needs_policies_of_the_same_states():
    with pytest.raises(ValueError, match="opponent must have shape"):
        PolicyPair(np.ones((1, 2, 1)), np.ones((1, 3, 1)))
    pair = PolicyPair(np.ones((1, 2, 1)), np.full((1, 2, 2), 0.5))
    assert isinstance(pair.row, Policy)
    assert pair.column.n_actions == 2
