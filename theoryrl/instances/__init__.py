"""Named problems from the papers and the field: functions that return models.

Every factory has typed keyword parameters with defaults, and random ones take a `seed` that names
one model for good. `INSTANCES` looks them up by key::

    INSTANCES["riverswim"](n_states=10, horizon=30)
"""

from collections.abc import Callable
from typing import Any

from theoryrl._registry import Registry
from theoryrl.instances.american_put import american_put, price_features
from theoryrl.instances.bandits import bernoulli_bandit, hidden_arm, shifting_levels
from theoryrl.instances.boltzmann import boltzmann_policy
from theoryrl.instances.candidates import (
    defect_class,
    hybrid_lock,
    incomplete_class,
    incomplete_hybrid,
    rich_lock,
)
from theoryrl.instances.changing import (
    average_gridworld,
    dying_arm,
    even_changes,
    flipping_riverswim,
    harmless_change,
    moving_goal,
    one_pair_change,
    random_average,
    six_arms,
    switching_random,
    unseen_change,
)
from theoryrl.instances.coin import coin
from theoryrl.instances.combination_lock import combination_lock
from theoryrl.instances.coupon import coupon
from theoryrl.instances.discounted import discounted_garnet, discounted_gridworld, discounted_random
from theoryrl.instances.domingues_tree import domingues_tree
from theoryrl.instances.endless import average_riverswim, islands, path_grid, queue
from theoryrl.instances.fine_tuning import (
    fork_episodes,
    offline_fork,
    paying_lock,
    twin_lock,
    twin_lock_episodes,
    two_arms,
)
from theoryrl.instances.five_state import five_state, five_state_target
from theoryrl.instances.fork import fork
from theoryrl.instances.frozen_lake import frozen_lake, frozen_lake_target
from theoryrl.instances.garnet import garnet
from theoryrl.instances.gridworld import gridworld
from theoryrl.instances.growth import growth
from theoryrl.instances.hard import hard
from theoryrl.instances.hazard import hazard
from theoryrl.instances.hypotheses import (
    nearby_models,
    perturbed_values,
    random_linear,
    sparse_rewards,
)
from theoryrl.instances.inventory import inventory
from theoryrl.instances.linear_systems import (
    alternating_laplacian,
    heat_equation,
    random_spd,
    shifted_laplacian,
)
from theoryrl.instances.markov_games import random_candidate_game, random_markov_game, risky_game
from theoryrl.instances.preferences import (
    bradley_terry,
    intransitive_contexts,
    random_preferences,
    random_tournament,
    rock_paper_scissors,
)
from theoryrl.instances.random_dirichlet import random_conservative, random_dirichlet
from theoryrl.instances.recovering import blocking, recovering
from theoryrl.instances.replacement import replacement
from theoryrl.instances.risky_arms import risky_arms, risky_arms_class
from theoryrl.instances.riverswim import riverswim
from theoryrl.instances.robust_linear import random_robust_linear, repeated_mixture, unobserved_turn
from theoryrl.instances.self_play import condorcet, three_cycle, trajectory_preferences

Factory = Callable[..., Any]
"""A function that returns a model."""

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
        ("incomplete-class", incomplete_class),
        ("rich-lock", rich_lock),
        ("hybrid-lock", hybrid_lock),
        ("incomplete-hybrid", incomplete_hybrid),
        ("defect-class", defect_class),
        ("rock-paper-scissors", rock_paper_scissors),
        ("random-preferences", random_preferences),
        ("intransitive-contexts", intransitive_contexts),
        ("random-tournament", random_tournament),
        ("bradley-terry", bradley_terry),
        ("replacement", replacement),
        ("inventory", inventory),
        ("discounted-gridworld", discounted_gridworld),
        ("discounted-garnet", discounted_garnet),
        ("discounted-random", discounted_random),
        ("growth", growth),
        ("recovering", recovering),
        ("blocking", blocking),
        ("average-riverswim", average_riverswim),
        ("queue", queue),
        ("islands", islands),
        ("path-grid", path_grid),
        ("bernoulli-bandit", bernoulli_bandit),
        ("hidden-arm", hidden_arm),
        ("shifting-levels", shifting_levels),
        ("shifted-laplacian", shifted_laplacian),
        ("alternating-laplacian", alternating_laplacian),
        ("heat-equation", heat_equation),
        ("random-spd", random_spd),
        ("three-cycle", three_cycle),
        ("condorcet", condorcet),
        ("trajectory-preferences", trajectory_preferences),
        ("offline-fork", offline_fork),
        ("twin-lock", twin_lock),
        ("paying-lock", paying_lock),
        ("two-arms", two_arms),
        ("risky-arms", risky_arms),
        ("sparse-rewards", sparse_rewards),
        ("random-linear", random_linear),
        ("risky-game", risky_game),
        ("random-markov-game", random_markov_game),
        ("random-candidate-game", random_candidate_game),
        ("six-arms", six_arms),
        ("average-gridworld", average_gridworld),
        ("random-average", random_average),
        ("flipping-riverswim", flipping_riverswim),
        ("switching-random", switching_random),
        ("moving-goal", moving_goal),
        ("unseen-change", unseen_change),
        ("harmless-change", harmless_change),
        ("one-pair-change", one_pair_change),
        ("dying-arm", dying_arm),
    ],
)

__all__ = [
    "INSTANCES",
    "Factory",
    "alternating_laplacian",
    "american_put",
    "average_gridworld",
    "average_riverswim",
    "bernoulli_bandit",
    "blocking",
    "boltzmann_policy",
    "bradley_terry",
    "coin",
    "combination_lock",
    "condorcet",
    "coupon",
    "defect_class",
    "discounted_garnet",
    "discounted_gridworld",
    "discounted_random",
    "domingues_tree",
    "dying_arm",
    "even_changes",
    "five_state",
    "five_state_target",
    "flipping_riverswim",
    "fork",
    "fork_episodes",
    "frozen_lake",
    "frozen_lake_target",
    "garnet",
    "gridworld",
    "growth",
    "hard",
    "harmless_change",
    "hazard",
    "heat_equation",
    "hidden_arm",
    "hybrid_lock",
    "incomplete_class",
    "incomplete_hybrid",
    "intransitive_contexts",
    "inventory",
    "islands",
    "moving_goal",
    "nearby_models",
    "offline_fork",
    "one_pair_change",
    "path_grid",
    "paying_lock",
    "perturbed_values",
    "price_features",
    "queue",
    "random_average",
    "random_candidate_game",
    "random_conservative",
    "random_dirichlet",
    "random_linear",
    "random_markov_game",
    "random_preferences",
    "random_robust_linear",
    "random_spd",
    "random_tournament",
    "recovering",
    "repeated_mixture",
    "replacement",
    "rich_lock",
    "risky_arms",
    "risky_arms_class",
    "risky_game",
    "riverswim",
    "rock_paper_scissors",
    "shifted_laplacian",
    "shifting_levels",
    "six_arms",
    "sparse_rewards",
    "switching_random",
    "three_cycle",
    "trajectory_preferences",
    "twin_lock",
    "twin_lock_episodes",
    "two_arms",
    "unobserved_turn",
    "unseen_change",
]
