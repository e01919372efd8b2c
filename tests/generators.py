"""Hypothesis strategies for small models and policies, and the same from a seed."""

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from theoryrl.models import (
    DeterministicPolicy,
    DiscountedMDP,
    EpisodicMDP,
    MixturePolicy,
    Policy,
    SparseTransitions,
)

seeds = st.integers(0, 2**32 - 1)


def random_rows(rng, shape, sparse):
    """Distributions along the last axis; sparse ones have about half of their entries zero."""
    rows = rng.random(shape) ** 2
    if sparse:
        rows *= rng.random(shape) < 0.5
        rows[..., rng.integers(shape[-1])] += rng.random() + 0.1
    return rows / rows.sum(axis=-1, keepdims=True)


def random_mdp(seed, H=3, S=3, A=2, sparse=False, signed=False, **options):
    """A stage-dependent model; `signed` rewards lie in [-1, 1] instead of [0, 1]."""
    rng = np.random.default_rng(seed)
    P = random_rows(rng, (H, S, A, S), sparse)
    r = rng.random((H, S, A)) * (2 if signed else 1) - (1 if signed else 0)
    rho = random_rows(rng, (S,), sparse)
    return EpisodicMDP(P, r, rho, reward_range=(-1.0, 1.0) if signed else (0.0, 1.0), **options)


def random_policy(rng, H, S, A, sparse=False):
    """A stage-dependent stochastic policy."""
    return Policy(random_rows(rng, (H, S, A), sparse))


def random_mixture(rng, H, S, A, size=3):
    """A mixture of stochastic, deterministic and stationary policies, in turn."""
    kinds = [
        lambda: random_policy(rng, H, S, A),
        lambda: DeterministicPolicy(rng.integers(A, size=(H, S)), A),
        lambda: Policy(random_rows(rng, (S, A), True)),
    ]
    return MixturePolicy(random_rows(rng, (size,), False), [kinds[i % 3]() for i in range(size)])


def recipes(max_horizon=4, max_states=4, max_actions=3):
    """Arguments of `random_mdp`: small models, dense or sparse, with rewards of one sign or of both.

    The model itself is built in the test, because type checkers draw random numbers behind
    Hypothesis's back.
    """
    return st.fixed_dictionaries(
        {
            "seed": seeds,
            "H": st.integers(1, max_horizon),
            "S": st.integers(1, max_states),
            "A": st.integers(1, max_actions),
            "sparse": st.booleans(),
            "signed": st.booleans(),
        }
    )


def random_discounted(seed, S=3, A=2, gamma=0.9, sparse=False, csr=False, masked=False, signed=False):
    """A discounted model, dense or in compressed rows, with some actions missing or all available."""
    rng = np.random.default_rng(seed)
    P = random_rows(rng, (S, A, S), sparse)
    r = rng.random((S, A)) * (2 if signed else 1) - (1 if signed else 0)
    allowed = None
    if masked:
        allowed = rng.random((S, A)) < 0.6
        allowed[np.arange(S), rng.integers(A, size=S)] = True
        P[~allowed], r[~allowed] = 0, 0
    kernel = SparseTransitions.from_scipy(csr_array(P.reshape(S * A, S))) if csr else P
    return DiscountedMDP(kernel, r, gamma, allowed)


def discounted_recipes(max_states=4, max_actions=3, gammas=(0.0, 0.5, 0.9, 0.99, 0.9999)):
    """Arguments of `random_discounted`."""
    return st.fixed_dictionaries(
        {
            "seed": seeds,
            "S": st.integers(1, max_states),
            "A": st.integers(1, max_actions),
            "gamma": st.sampled_from(gammas),
            "sparse": st.booleans(),
            "csr": st.booleans(),
            "masked": st.booleans(),
            "signed": st.booleans(),
        }
    )
