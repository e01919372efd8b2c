"""Small models without a horizon, of every structure that a solver may trip over."""

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from tests.generators import seeds
from theoryrl.models import AverageRewardMDP, TotalRewardMDP

KINDS = ("mixed", "dense", "deterministic", "nearly-decomposable", "acyclic")


def random_kernel(rng, S, A, kind):
    """P[s, a, s'] of a structure: mixed (few successors, often several classes), dense, deterministic
    (periodic), nearly decomposable (rare jumps) or acyclic (every state leads to later ones)."""
    if kind == "dense":
        rows = rng.random((S, A, S)) + 0.05
    elif kind == "deterministic":
        rows = np.eye(S)[rng.integers(S, size=(S, A))]
    elif kind == "acyclic":
        rows = np.triu(np.ones((S, S)), 1)[:, None, :] * rng.random((S, A, S))
        rows[-1] = np.eye(S)[-1]
        rows[:-1, :, -1] += 0.1
    else:
        rows = rng.random((S, A, S)) * (rng.random((S, A, S)) < 1.3 / S)
        empty = rows.sum(axis=-1) == 0
        rows[empty] = np.eye(S)[rng.integers(S, size=int(empty.sum()))]
        if kind == "nearly-decomposable":
            rows /= rows.sum(axis=-1, keepdims=True)
            rows += 2.0 ** -float(rng.integers(10, 40)) * np.eye(S)[rng.integers(S, size=(S, A))]
    return rows / rows.sum(axis=-1, keepdims=True)


def random_rewards(rng, S, A, sign):
    """Rewards with many ties and zeros: of sign -1, 0 (both) or 1."""
    choices = {1: [0.0, 0.0, 0.3, 1.0], -1: [0.0, -1.0, -0.7], 0: [-1.0, -0.25, 0.0, 0.5]}[sign]
    return rng.choice(choices, size=(S, A)) * rng.choice([1.0, 1.0, 0.1], size=(S, A))


def build(model, seed, S, A, kind, sign, stored, masked):
    """A model; `stored` is "dense" or "sparse"; `masked` takes some actions away."""
    rng = np.random.default_rng(seed)
    P, r = random_kernel(rng, S, A, kind), random_rewards(rng, S, A, sign)
    allowed = None
    if masked:
        allowed = rng.random((S, A)) < 0.7
        allowed[np.arange(S), rng.integers(A, size=S)] = True
    kernel = sparse.csr_array(P.reshape(S * A, S)) if stored == "sparse" else P
    return model(kernel, r, allowed=allowed)


def average_mdp(**recipe):
    return build(AverageRewardMDP, **recipe)


def total_mdp(**recipe):
    return build(TotalRewardMDP, **recipe)


def stationary_recipes(max_states=4, max_actions=3, signs=(-1, 0, 1), kinds=KINDS):
    """Arguments of `average_mdp` and `total_mdp`."""
    return st.fixed_dictionaries(
        {
            "seed": seeds,
            "S": st.integers(1, max_states),
            "A": st.integers(1, max_actions),
            "kind": st.sampled_from(kinds),
            "sign": st.sampled_from(signs),
            "stored": st.sampled_from(["dense", "sparse"]),
            "masked": st.booleans(),
        }
    )
