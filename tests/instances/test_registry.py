"""What every instance promises: a key, usable defaults, reproducibility and clear errors."""

import inspect
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from scipy import sparse

from theoryrl.instances import INSTANCES
from theoryrl.models import (
    AverageRewardMDP,
    ConservativeMDP,
    DiscountedMDP,
    EpisodicMDP,
    PreferenceGame,
    RegularizedGame,
    RobustLinearMDP,
    TrajectoryGame,
)
from theoryrl.solvers import backward_induction, exploitability_gap, policy_value

NAN, INF = float("nan"), float("inf")
SEEDED = [key for key in INSTANCES if "seed" in inspect.signature(INSTANCES[key]).parameters]


EPISODIC = [
    key for key in INSTANCES if isinstance(INSTANCES[key](), EpisodicMDP | ConservativeMDP | RobustLinearMDP)
]
GAMES = [key for key in INSTANCES if isinstance(INSTANCES[key](), RegularizedGame)]
UNREGULARISED = [key for key in INSTANCES if isinstance(INSTANCES[key](), PreferenceGame | TrajectoryGame)]
STATIONARY = [key for key in INSTANCES if isinstance(INSTANCES[key](), AverageRewardMDP | DiscountedMDP)]


def mdp_of(model):
    if isinstance(model, RobustLinearMDP):
        return model.nominal.to_episodic()
    return model.mdp if isinstance(model, ConservativeMDP) else model


def arrays(value):
    """All numbers of a model, whatever it is made of."""
    if is_dataclass(value):
        return [array for part in fields(value) for array in arrays(getattr(value, part.name))]
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays(part)]
    if sparse.issparse(value):
        return [value.toarray()]
    return [np.asarray(value)] if isinstance(value, np.ndarray | int | float) else []


def test_the_instances_of_the_first_paper_are_there():
    assert set(INSTANCES) >= {
        "riverswim",
        "random-dirichlet",
        "random-conservative",
        "garnet",
        "gridworld",
        "combination-lock",
        "hazard",
        "fork",
        "coin",
        "hard",
        "coupon",
        "domingues-tree",
    }


@pytest.mark.parametrize("key", INSTANCES)
def test_a_key_is_the_factorys_name_in_kebab_case(key):
    assert INSTANCES[key].__name__.replace("_", "-") == key


@pytest.mark.parametrize("key", INSTANCES)
def test_every_parameter_has_a_default_of_its_annotated_scalar_type(key):
    """The command line turns `key=value` into the annotated type."""
    for parameter in inspect.signature(INSTANCES[key]).parameters.values():
        assert parameter.annotation in (int, float, str, bool)
        assert type(parameter.default) is parameter.annotation


@pytest.mark.parametrize("key", INSTANCES)
def test_the_docstring_describes_every_parameter(key):
    factory = INSTANCES[key]
    section = inspect.getdoc(factory).split("Parameters\n")[1].split("Returns\n")[0]
    described = {
        name.strip() for line in section.splitlines() if line[:1].strip() for name in line.split(",")
    }
    assert described >= set(inspect.signature(factory).parameters)


@pytest.mark.parametrize("key", EPISODIC)
def test_an_episodic_instance_starts_in_one_state_and_has_something_to_gain(key):
    mdp = mdp_of(INSTANCES[key]())
    assert mdp.rho.max() == 1
    assert mdp.has_unit_rewards
    assert backward_induction(mdp).start_value > 0 or key == "unobserved-turn"  # which pays nothing


@pytest.mark.parametrize("key", GAMES)
def test_a_game_has_something_to_gain(key):
    model = INSTANCES[key]()
    assert np.abs(model.game.skew).max() > 0.1
    assert exploitability_gap(model, model.log_reference).min() > 0


@pytest.mark.parametrize("key", UNREGULARISED)
def test_the_defaults_build_preferences_that_are_not_indifferent(key):
    model = INSTANCES[key]()
    game = model.preferences if isinstance(model, TrajectoryGame) else model
    assert np.abs(game.skew).max() > 0.1


@pytest.mark.parametrize("key", STATIONARY)
def test_an_instance_without_a_horizon_has_something_to_gain(key):
    assert (INSTANCES[key]().r > 0).any()


@pytest.mark.parametrize("key", [key for key in INSTANCES if isinstance(INSTANCES[key](), ConservativeMDP)])
def test_the_baseline_of_a_conservative_instance_is_above_its_threshold(key):
    model = INSTANCES[key]()
    assert policy_value(model.mdp, model.baseline) > model.threshold >= 0


@pytest.mark.parametrize("key", INSTANCES)
def test_the_same_parameters_give_the_same_model(key):
    for first, second in zip(arrays(INSTANCES[key]()), arrays(INSTANCES[key]()), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("key", SEEDED)
def test_another_seed_gives_another_model(key):
    """Seeds are fixed, so this holds or fails for good (no false alarm)."""
    first, second = (arrays(INSTANCES[key](seed=seed)) for seed in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


REJECTED = [
    ("average-riverswim", {"n_states": 1}, "n_states must be at least 2; got 1"),
    ("queue", {"capacity": 0}, "capacity must be at least 1; got 0"),
    ("queue", {"arrival": 0.7}, r"arrival \+ service must be at most 1; got 0\.7 \+ 0\.6"),
    ("queue", {"service": 0.0}, r"service must be positive; got 0\.0"),
    ("islands", {"n_islands": 0}, "n_islands must be at least 1; got 0"),
    ("islands", {"safety": 1.5}, r"safety must be .*\[0, 1\]; got 1\.5"),
    ("path-grid", {"slip": -0.1}, r"slip must be .*\[0, 1\]; got -0\.1"),
    ("riverswim", {"n_states": 1}, "n_states must be at least 2; got 1"),
    ("riverswim", {"horizon": 0}, "horizon must be at least 1; got 0"),
    ("riverswim", {"n_states": 10**8}, "P of shape .* needs .* GiB"),
    ("random-dirichlet", {"n_states": 0}, "n_states must be at least 1; got 0"),
    ("random-dirichlet", {"n_actions": -1}, "n_actions must be at least 1; got -1"),
    ("random-dirichlet", {"horizon": 0}, "horizon must be at least 1; got 0"),
    ("random-dirichlet", {"concentration": 0.0}, r"concentration must be positive; got 0\.0"),
    ("random-dirichlet", {"concentration": NAN}, "concentration must be a finite number.*got nan"),
    ("random-dirichlet", {"seed": -1}, "seed must be at least 0; got -1"),
    ("random-dirichlet", {"n_states": 10**6}, "P of shape .* needs .* GiB"),
    ("random-conservative", {"n_actions": 1}, "n_actions must be at least 2; got 1"),
    ("random-conservative", {"eta": 0.0}, r"eta must be positive; got 0\.0"),
    ("random-conservative", {"eta": INF}, "eta must be a finite number.*got inf"),
    ("random-conservative", {"fraction": 0.0}, r"fraction must be positive; got 0\.0"),
    ("random-conservative", {"fraction": 1.5}, r"fraction must be .* got 1\.5"),
    ("garnet", {"branching": 0}, "branching must be at least 1 and at most 10; got 0"),
    ("garnet", {"branching": 11}, "branching must be at least 1 and at most 10; got 11"),
    ("garnet", {"concentration": 0.05}, r"concentration must be .* got 0\.05"),
    ("garnet", {"reward_fraction": 1.1}, r"reward_fraction must be .*\[0, 1\]; got 1\.1"),
    ("garnet", {"seed": -3}, "seed must be at least 0; got -3"),
    ("gridworld", {"width": 0}, "width must be at least 1; got 0"),
    ("gridworld", {"width": 1, "height": 1}, "width and height must leave room .* 1 x 1"),
    ("gridworld", {"slip": -0.1}, r"slip must be .*\[0, 1\]; got -0\.1"),
    ("gridworld", {"goal_reward": 0.0}, r"goal_reward must be positive; got 0\.0"),
    ("gridworld", {"goal_reward": 2.0}, r"goal_reward must be .* got 2\.0"),
    ("gridworld", {"height": 2, "layout": "S..G"}, "layout must have 2 rows, as height says; got 1"),
    ("gridworld", {"height": 2, "layout": "S..G/..."}, "layout row 1 must have 4 cells.*'...'"),
    ("gridworld", {"height": 1, "layout": "S.xG"}, "layout row 0, column 2 must be one of .* 'x'"),
    ("gridworld", {"height": 1, "layout": "S..."}, "layout must have exactly one G; got 0"),
    ("gridworld", {"height": 1, "layout": "SS.G"}, "layout must have exactly one S; got 2"),
    ("combination-lock", {"horizon": 0}, "horizon must be at least 1; got 0"),
    ("combination-lock", {"n_actions": 1}, "n_actions must be at least 2; got 1"),
    ("combination-lock", {"distractor": 1.0}, r"distractor must be in \[0, 1\); got 1\.0"),
    ("combination-lock", {"distractor": -0.5}, r"distractor must be .* got -0\.5"),
    ("combination-lock", {"horizon": 10**12}, "P of shape .* needs .* GiB"),
    ("hazard", {"p": 1.5}, r"p must be .*\[0, 1\]; got 1\.5"),
    ("hazard", {"kappa": 0.0}, r"kappa must be positive; got 0\.0"),
    ("hazard", {"kappa": 2.6}, r"kappa must be .* got 2\.6"),
    ("hazard", {"horizon": 0}, "horizon must be at least 1; got 0"),
    ("fork", {"horizon": 1}, "horizon must be at least 2; got 1"),
    ("fork", {"kappa": 1.6}, r"kappa must be .* got 1\.6"),
    ("coin", {"kappa": 0.6}, r"kappa must be .* got 0\.6"),
    ("coin", {"gap": 0.0}, r"gap must be positive; got 0\.0"),
    ("coin", {"gap": 0.6}, r"gap must be .* got 0\.6"),
    ("hard", {"rounds": 0}, "rounds must be at least 1; got 0"),
    ("hard", {"kappa": -1.0}, r"kappa must be positive; got -1\.0"),
    ("coupon", {"n_states": 0}, "n_states must be at least 1; got 0"),
    ("coupon", {"kappa": 1.01}, r"kappa must be .* got 1\.01"),
    ("rock-paper-scissors", {"beta": 0.0}, r"beta must be positive; got 0\.0"),
    ("rock-paper-scissors", {"bias": NAN}, "log_reference.* must be finite"),
    ("random-preferences", {"n_actions": 0}, "n must be at least 1; got 0"),
    ("random-preferences", {"seed": -1}, "seed must be at least 0; got -1"),
    ("intransitive-contexts", {"n_contexts": 0}, "n_contexts must be at least 1; got 0"),
    ("intransitive-contexts", {"scale": 0.0}, r"scale must be positive; got 0\.0"),
    ("random-tournament", {"n_actions": 0}, "n_actions must be at least 1; got 0"),
    ("bradley-terry", {"spread": -1.0}, r"spread must be positive; got -1\.0"),
    ("bradley-terry", {"n_actions": 10**6}, "P of shape .* needs .* GiB"),
    ("three-cycle", {"b": 0.0}, r"b must be positive; got 0\.0"),
    ("three-cycle", {"c": 1.5}, r"c must be .* got 1\.5"),
    ("condorcet", {"n_actions": 1}, "n_actions must be at least 2; got 1"),
    ("condorcet", {"margin": 0.0}, r"margin must be positive; got 0\.0"),
    ("condorcet", {"n_actions": 10**6}, "P of shape .* needs .* GiB"),
    ("trajectory-preferences", {"horizon": 0}, "horizon must be at least 1; got 0"),
    ("trajectory-preferences", {"horizon": 20}, "preferences of shape .* needs .* GiB"),
    ("trajectory-preferences", {"transitive": -1.0}, r"transitive must be .* got -1\.0"),
    ("domingues-tree", {"n_actions": 1}, "n_actions must be at least 2; got 1"),
    ("domingues-tree", {"depth": 0}, "depth must be at least 1 and at most 30; got 0"),
    ("domingues-tree", {"depth": 30, "horizon": 40}, "P of shape .* needs .* GiB"),
    ("domingues-tree", {"waiting": 0}, "waiting must be at least 1; got 0"),
    ("domingues-tree", {"horizon": 7}, "horizon must be at least 8; got 7"),
    ("domingues-tree", {"epsilon": 0.51}, r"epsilon must be .* got 0\.51"),
    ("domingues-tree", {"delay": 4}, "delay must be at least 0 and at most 3; got 4"),
    ("domingues-tree", {"leaf": 4}, "leaf must be at least 0 and at most 3; got 4"),
    ("replacement", {"n_states": 1}, "n_states must be at least 2; got 1"),
    ("replacement", {"wear": 1.5}, r"wear must be .*\[0, 1\]; got 1\.5"),
    ("replacement", {"gamma": 1.0}, r"gamma must be in \[0, 1\); got 1\.0"),
    ("inventory", {"capacity": 0}, "capacity must be at least 1; got 0"),
    ("inventory", {"demands": 1}, "demands must be at least 2; got 1"),
    ("inventory", {"batch": 0}, "batch must be at least 1; got 0"),
    ("inventory", {"orders": 0}, "orders must be at least 1; got 0"),
    ("discounted-gridworld", {"width": 0}, "width must be at least 1; got 0"),
    ("discounted-gridworld", {"slip": -0.1}, r"slip must be .*\[0, 1\]; got -0\.1"),
    ("discounted-garnet", {"branching": 0}, "branching must be at least 1; got 0"),
    ("discounted-garnet", {"concentration": 0.05}, r"concentration must be .* got 0\.05"),
    ("discounted-garnet", {"n_states": 10**12}, "P of shape .* needs .* GiB"),
    ("discounted-random", {"concentration": 0.0}, r"concentration must be positive; got 0\.0"),
    ("discounted-random", {"n_states": 10**6}, "P of shape .* needs .* GiB"),
    ("growth", {"n_capital": 1}, "n_capital must be at least 2; got 1"),
    ("growth", {"gamma": 1.0}, r"gamma must be in \(0, 1\); got 1\.0"),
    ("growth", {"depreciation": 0.0}, r"depreciation must be in \(0, 1\); got 0\.0"),
    ("recovering", {"kind": "convex"}, "kind must be one of concave, blocking, monotone; got 'convex'"),
    ("recovering", {"n_arms": 0}, "n_arms must be at least 1; got 0"),
    ("recovering", {"max_pulls": 7}, "max_pulls must be at least 1 and at most 6; got 7"),
    ("recovering", {"memory": 0}, "memory must be at least 1; got 0"),
    ("recovering", {"noise": "gaussian"}, "noise must be one of bernoulli, none; got 'gaussian'"),
    ("blocking", {"delay": 0}, "delay must be at least 1; got 0"),
    ("blocking", {"mean": 0.0}, r"mean must be in \(0, 1\]; got 0\.0"),
    ("bernoulli-bandit", {"n_arms": 1}, "n_arms must be at least 2; got 1"),
    ("bernoulli-bandit", {"best": 1.1}, r"best must be .*\[0, 1\]; got 1\.1"),
    ("bernoulli-bandit", {"worst": 0.95}, r"worst must be below best = 0\.9; got 0\.95"),
    ("hidden-arm", {"gap": 0.0}, r"gap must be positive; got 0\.0"),
    ("hidden-arm", {"gap": 0.6}, r"gap must be .* got 0\.6"),
    ("shifting-levels", {"gap": 0.0}, r"gap must be positive; got 0\.0"),
    ("shifting-levels", {"growth": 1.0}, r"growth must be more than 1; got 1\.0"),
    ("shifted-laplacian", {"side": 11}, "side must be at most 10 for shifts down to -0.15; got 11"),
    ("shifted-laplacian", {"spread": "x"}, "spread must be one of high, low; got 'x'"),
    ("shifted-laplacian", {"method": "x"}, "method must be one of sor, ssor, ssor-pcg; got 'x'"),
    ("shifted-laplacian", {"rounds": 10**10}, "targets of shape .* needs .* GiB"),
    ("alternating-laplacian", {"side": 11}, "side must be at least 1 and at most 10; got 11"),
    ("alternating-laplacian", {"largest": 2.0}, r"largest must be in \(1, 2\); got 2\.0"),
    ("heat-equation", {"dt": 0.0}, r"dt must be positive; got 0\.0"),
    ("heat-equation", {"moving": "x"}, "moving must be one of both, diffusion, source; got 'x'"),
    ("heat-equation", {"side": 10**6}, "targets of shape .* needs .* GiB"),
    ("random-spd", {"density": 0.0}, r"density must be in \(0, 1\]; got 0\.0"),
    ("random-spd", {"different": 0}, "different must be at least 1; got 0"),
    ("domingues-tree", {"action": -1}, "action must be at least 0 and at most 1; got -1"),
    ("five-state", {"radius": 1.1}, r"radius must be .* got 1\.1"),
    ("five-state", {"delta": 0.95}, r"xi_norm must be .* got 0\.1"),
    ("five-state", {"horizon": 1}, "horizon must be at least 2; got 1"),
    ("five-state", {"temperature": -1.0}, r"temperature must be .* got -1\.0"),
    ("five-state-target", {"q": NAN}, "q must be a finite number.*got nan"),
    ("american-put", {"up": 1.5}, r"up must be .* got 1\.5"),
    ("american-put", {"start_price": 90.0}, r"start_price must be .* got 90\.0"),
    ("american-put", {"horizon": 13}, "horizon must be at least 1 and at most 12; got 13"),
    ("frozen-lake", {"slip": 0.6}, r"slip must be .* got 0\.6"),
    ("frozen-lake", {"radius": -0.1}, r"radius must be .* got -0\.1"),
    ("random-robust-linear", {"features": "none"}, "features must be one of .* got 'none'"),
    ("random-robust-linear", {"features": "one-hot"}, "dimension must be 29 .* got 5"),
    ("random-robust-linear", {"n_states": 1}, "n_states must be at least 2; got 1"),
    ("random-robust-linear", {"radius": 1.5}, r"radius\[0\] must be in \[0, 1\]; got 1\.5"),
    ("random-robust-linear", {"uncertainty": "tv-penalty", "radius": 0.0}, r"radius must be positive; got 0"),
    ("random-robust-linear", {"sparsity": 2.0}, r"sparsity must be .* got 2\.0"),
    ("unobserved-turn", {"temperature": 0.0}, r"temperature must be positive; got 0\.0"),
    ("repeated-mixture", {"temperature": -0.5}, r"temperature must be .* got -0\.5"),
    ("offline-fork", {"offline_episodes": -1}, "offline_episodes must be at least 0; got -1"),
    ("twin-lock", {"n_actions": 2}, "n_actions must be at least 3; got 2"),
    ("twin-lock", {"v": 1.5}, r"v must be .* got 1\.5"),
    ("paying-lock", {"horizon": 18}, "horizon must be at least 1 and at most 17; got 18"),
    ("two-arms", {"gap": 0.6}, r"gap must be .* got 0\.6"),
]


@pytest.mark.parametrize(("key", "parameters", "message"), REJECTED)
def test_a_bad_parameter_is_named_together_with_its_value(key, parameters, message):
    with pytest.raises(ValueError, match=message):
        INSTANCES[key](**parameters)
