"""Small models and plain loops that the tests of the baselines share."""

import warnings

import numpy as np

from theoryrl.models import EpisodicMDP, Policy
from theoryrl.protocol import EpisodicProblem
from theoryrl.solvers.episodic import policy_value

ROUNDING = 1e-9
"""Returns below 10 from fewer than 1e4 operations in double precision are exact to about 1e-12."""


def random_mdp(seed, S=3, A=2, H=3, **options):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(S, 0.5), size=(H, S, A))
    return EpisodicMDP(P, rng.random((H, S, A)), rng.dirichlet(np.ones(S)), **options)


def hazard(H=5, p=0.5, kappa=0.1):
    """Return state 0 with a safe action (.5, stays) and a tempting one (.8, ends with probability p)."""
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = 1.0
    P[0, 1] = [1 - p, p]
    P[1, :, 1] = 1.0
    r = np.array([[0.5, 0.8], [0.0, 0.0]])
    mdp = EpisodicMDP.stationary(P, r, np.array([1.0, 0.0]), H)
    baseline = Policy(np.array([[1.0, 0.0], [1.0, 0.0]]))
    return EpisodicProblem(mdp, "hazard", baseline, policy_value(mdp, baseline) - kappa)


def conservative(seed, kappa=0.3, **sizes):
    """Return a random model whose baseline is the uniform policy."""
    mdp = random_mdp(seed, **sizes)
    baseline = Policy.uniform(mdp.n_states, mdp.n_actions)
    return EpisodicProblem(mdp, "random", baseline, max(0.0, policy_value(mdp, baseline) - kappa))


def illustrative(make, **options):
    """Build a learner with bonuses too small for its theory, without the warning (for use in a module)."""
    with warnings.catch_warnings(action="ignore"):
        return make(**options)


def episodes(problem, learner, rounds, seed):
    """Play one episode per decision; yield the state, the decision and the observation of each."""
    from theoryrl.protocol import Streams

    streams = Streams.from_seed(seed)
    environment = problem.environment(streams)
    state = learner.init(problem.spec(rounds), streams.learner)
    for _ in range(rounds):
        decision = learner.plan(state)
        environment.begin(decision)
        outcome = environment.interact(decision, 1)
        yield state, decision, outcome.observation
        state = learner.update(state, decision, outcome.observation)
