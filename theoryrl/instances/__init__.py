"""Named problems from the papers and the field: functions that return models.

Every factory has typed keyword parameters with defaults, and random ones take a `seed` that names
one model for good. `INSTANCES` looks them up by key::

    INSTANCES["riverswim"](n_states=10, horizon=30)
"""

from collections.abc import Callable

from theoryrl._registry import Registry
from theoryrl.instances.bandits import bernoulli_bandit, hidden_arm, shifting_levels
from theoryrl.instances.boltzmann import boltzmann_policy
from theoryrl.instances.coin import coin
from theoryrl.instances.combination_lock import combination_lock
from theoryrl.instances.coupon import coupon
from theoryrl.instances.domingues_tree import domingues_tree
from theoryrl.instances.fork import fork
from theoryrl.instances.garnet import garnet
from theoryrl.instances.gridworld import gridworld
from theoryrl.instances.hard import hard
from theoryrl.instances.hazard import hazard
from theoryrl.instances.linear_systems import (
    alternating_laplacian,
    heat_equation,
    random_spd,
    shifted_laplacian,
)
from theoryrl.instances.random_dirichlet import random_conservative, random_dirichlet
from theoryrl.instances.riverswim import riverswim
from theoryrl.models import ConservativeMDP, EpisodicMDP, LossTable, RelaxationTuning, StochasticBandit

Factory = (
    Callable[..., EpisodicMDP]
    | Callable[..., ConservativeMDP]
    | Callable[..., StochasticBandit]
    | Callable[..., LossTable]
    | Callable[..., RelaxationTuning]
)

INSTANCES: Registry[Factory] = Registry(
    "instance",
    [
        ("riverswim", riverswim),
        ("random-dirichlet", random_dirichlet),
        ("garnet", garnet),
        ("gridworld", gridworld),
        ("combination-lock", combination_lock),
        ("domingues-tree", domingues_tree),
        ("random-conservative", random_conservative),
        ("hazard", hazard),
        ("fork", fork),
        ("coin", coin),
        ("hard", hard),
        ("coupon", coupon),
        ("bernoulli-bandit", bernoulli_bandit),
        ("hidden-arm", hidden_arm),
        ("shifting-levels", shifting_levels),
        ("shifted-laplacian", shifted_laplacian),
        ("alternating-laplacian", alternating_laplacian),
        ("heat-equation", heat_equation),
        ("random-spd", random_spd),
    ],
)

__all__ = [
    "INSTANCES",
    "Factory",
    "alternating_laplacian",
    "bernoulli_bandit",
    "boltzmann_policy",
    "coin",
    "combination_lock",
    "coupon",
    "domingues_tree",
    "fork",
    "garnet",
    "gridworld",
    "hard",
    "hazard",
    "heat_equation",
    "hidden_arm",
    "random_conservative",
    "random_dirichlet",
    "random_spd",
    "riverswim",
    "shifted_laplacian",
    "shifting_levels",
]
