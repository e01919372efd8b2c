"""Named problems from the papers and the field: functions that return models.

Every factory has typed keyword parameters with defaults, and random ones take a `seed` that names
one model for good. `INSTANCES` looks them up by key::

    INSTANCES["riverswim"](n_states=10, horizon=30)
"""

from collections.abc import Callable

from theoryrl._registry import Registry
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
from theoryrl.instances.preferences import (
    bradley_terry,
    intransitive_contexts,
    random_preferences,
    random_tournament,
    rock_paper_scissors,
)
from theoryrl.instances.random_dirichlet import random_conservative, random_dirichlet
from theoryrl.instances.riverswim import riverswim
from theoryrl.instances.self_play import condorcet, three_cycle, trajectory_preferences
from theoryrl.models import (
    ConservativeMDP,
    EpisodicMDP,
    PreferenceGame,
    RegularizedGame,
    TrajectoryGame,
)

Factory = (
    Callable[..., EpisodicMDP]
    | Callable[..., ConservativeMDP]
    | Callable[..., RegularizedGame]
    | Callable[..., PreferenceGame]
    | Callable[..., TrajectoryGame]
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
        ("rock-paper-scissors", rock_paper_scissors),
        ("random-preferences", random_preferences),
        ("intransitive-contexts", intransitive_contexts),
        ("random-tournament", random_tournament),
        ("bradley-terry", bradley_terry),
        ("three-cycle", three_cycle),
        ("condorcet", condorcet),
        ("trajectory-preferences", trajectory_preferences),
    ],
)

__all__ = [
    "INSTANCES",
    "Factory",
    "boltzmann_policy",
    "bradley_terry",
    "coin",
    "combination_lock",
    "condorcet",
    "coupon",
    "domingues_tree",
    "fork",
    "garnet",
    "gridworld",
    "hard",
    "hazard",
    "intransitive_contexts",
    "random_conservative",
    "random_dirichlet",
    "random_preferences",
    "random_tournament",
    "riverswim",
    "rock_paper_scissors",
    "three_cycle",
    "trajectory_preferences",
]
