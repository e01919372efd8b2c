"""Named problems from the papers and the field: functions that return models.

Every factory has typed keyword parameters with defaults, and random ones take a `seed` that names
one model for good. `INSTANCES` looks them up by key::

    INSTANCES["riverswim"](n_states=10, horizon=30)
"""

from collections.abc import Callable

from theoryrl._registry import Registry
from theoryrl.instances.american_put import american_put, price_features
from theoryrl.instances.boltzmann import boltzmann_policy
from theoryrl.instances.coin import coin
from theoryrl.instances.combination_lock import combination_lock
from theoryrl.instances.coupon import coupon
from theoryrl.instances.discounted import discounted_garnet, discounted_gridworld, discounted_random
from theoryrl.instances.domingues_tree import domingues_tree
from theoryrl.instances.five_state import five_state, five_state_target
from theoryrl.instances.fork import fork
from theoryrl.instances.frozen_lake import frozen_lake, frozen_lake_target
from theoryrl.instances.garnet import garnet
from theoryrl.instances.gridworld import gridworld
from theoryrl.instances.growth import growth
from theoryrl.instances.hard import hard
from theoryrl.instances.hazard import hazard
from theoryrl.instances.inventory import inventory
from theoryrl.instances.random_dirichlet import random_conservative, random_dirichlet
from theoryrl.instances.replacement import replacement
from theoryrl.instances.riverswim import riverswim
from theoryrl.instances.robust_linear import random_robust_linear, repeated_mixture, unobserved_turn
from theoryrl.models import ConservativeMDP, DiscountedMDP, EpisodicMDP, ImplicitMDP, RobustLinearMDP

Factory = (
    Callable[..., EpisodicMDP]
    | Callable[..., ConservativeMDP]
    | Callable[..., DiscountedMDP]
    | Callable[..., ImplicitMDP]
    | Callable[..., RobustLinearMDP]
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
        ("five-state", five_state),
        ("five-state-target", five_state_target),
        ("american-put", american_put),
        ("frozen-lake", frozen_lake),
        ("frozen-lake-target", frozen_lake_target),
        ("random-robust-linear", random_robust_linear),
        ("unobserved-turn", unobserved_turn),
        ("repeated-mixture", repeated_mixture),
        ("replacement", replacement),
        ("inventory", inventory),
        ("discounted-gridworld", discounted_gridworld),
        ("discounted-garnet", discounted_garnet),
        ("discounted-random", discounted_random),
        ("growth", growth),
    ],
)

__all__ = [
    "INSTANCES",
    "Factory",
    "american_put",
    "boltzmann_policy",
    "coin",
    "combination_lock",
    "coupon",
    "discounted_garnet",
    "discounted_gridworld",
    "discounted_random",
    "domingues_tree",
    "five_state",
    "five_state_target",
    "fork",
    "frozen_lake",
    "frozen_lake_target",
    "garnet",
    "gridworld",
    "growth",
    "hard",
    "hazard",
    "inventory",
    "price_features",
    "random_conservative",
    "random_dirichlet",
    "random_robust_linear",
    "repeated_mixture",
    "replacement",
    "riverswim",
    "unobserved_turn",
]
