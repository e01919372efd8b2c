"""Models with candidates: problems on which learners with function approximation differ.

In all of them the total reward of an episode is at most 1, the truth's Q* is the first function of the class
and the true model is the first candidate, so that a learner that gives ties to the last one is given no
help.
"""

import numpy as np

from theoryrl.models import (
    CandidateMDP,
    DeterministicPolicy,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
    Hypotheses,
    Policy,
    RewardNoise,
)
from theoryrl.models._validation import check_count, check_memory
from theoryrl.solvers.episodic import backward_induction, simulate_episodes
from theoryrl.solvers.weight_class import model_hypotheses

BERNOULLI = "bernoulli"


def incomplete_class(oracle: bool = False) -> CandidateMDP:
    """Two contexts and two functions: Q* is in the class, the backup of the other function is not.

    The context stays whatever is done, actions at the first stage do nothing, and at the second one the
    Bernoulli means are (.95, .05) in context 0 and (.5, .5) in context 1. The other function promises more
    (.745 > .725), its policy earns .45 less, and in squared loss it fits the backup of its own second stage
    better than Q* does, so methods that need completeness never drop it. Its average residual under its own
    policy is .47.

    Parameters
    ----------
    oracle
        Give the true model as the only candidate. Otherwise there are two, of which the second one swaps
        the contexts and the rewards.

    Returns
    -------
    CandidateMDP
        S = A = H = 2, coverability 2 of all policies and 1.5 of the two.
    """
    P = np.zeros((2, 2, 2, 2))
    P[:, 0, :, 0] = P[:, 1, :, 1] = 1
    r = np.zeros((2, 2, 2))
    r[1] = [[0.95, 0.05], [0.5, 0.5]]
    rho = np.full(2, 0.5)
    mdp = EpisodicMDP(P, r, rho, noise=RewardNoise(BERNOULLI))
    bad = np.array([[[0.52, 0.52], [0.97, 0.97]], [[0.0, 0.05], [0.5, 0.5]]])
    best = backward_induction(mdp).action_values
    models = (
        [mdp]
        if oracle
        else [mdp, EpisodicMDP(P[:, ::-1], r[:, ::-1, ::-1], rho, noise=RewardNoise(BERNOULLI))]
    )
    functions = FiniteFunctionClass(np.stack([best, bad]))
    return CandidateMDP(mdp, Hypotheses(functions, FiniteModelClass.from_models(models), oracle=oracle))


def rich_lock(observations: int = 10, horizon: int = 3, decoders: int = 4, seed: int = 0) -> CandidateMDP:
    """A combination lock behind observations: the number of states grows, coverability does not.

    At the first stage all states are good. A code has one right action for each stage; the right action in a
    good state leads to a good one, anything else to a bad one, for good; the right last action in a good
    state pays 1 with probability .9. From the second stage on half of the states look good, which half is
    the decoder's secret. Candidates are all codes with `decoders` random decoders; the truth is one of them.

    Parameters
    ----------
    observations
        Number of states S, even.
    horizon
        Number of stages H.
    decoders
        Number of candidate decoders.
    seed
        Seed of the decoders and of the code.

    Returns
    -------
    CandidateMDP
        A = 2, 2^H times `decoders` models, C_cov = 4 whatever S is (for H > 1).
    """
    check_count("observations", observations, low=2)
    check_count("horizon", horizon, high=8)
    check_count("decoders", decoders)
    check_memory("P", decoders * 2**horizon, horizon, observations, 2, observations)
    if observations % 2:
        raise ValueError(f"observations must be even; got {observations}")
    rng = np.random.default_rng(seed)
    looks = [rng.permutation(observations) < observations // 2 for _ in range(decoders)]
    codes = [np.array([code >> h & 1 for h in range(horizon)]) for code in range(2**horizon)]
    order = rng.permutation(len(codes))
    models = [_lock_model(codes[int(i)], good, horizon) for good in looks for i in order]
    return CandidateMDP(models[0], model_hypotheses(models))


def _lock_model(code: np.ndarray, good: np.ndarray, horizon: int) -> EpisodicMDP:
    S = len(good)
    P, r = np.empty((horizon, S, 2, S)), np.zeros((horizon, S, 2))
    laws = np.where(good, 1.0, 0.0) / good.sum(), np.where(good, 0.0, 1.0) / (~good).sum()
    for h in range(horizon):
        now = np.ones(S, dtype=bool) if h == 0 else good
        for a in range(2):
            open_ = now & (a == code[h])
            P[h, :, a] = np.where(open_[:, None], laws[0], laws[1])
            if h == horizon - 1:
                r[h, :, a] = 0.9 * open_
    return EpisodicMDP(P, r, np.full(S, 1 / S), noise=RewardNoise(BERNOULLI))


def hybrid_lock(
    horizon: int = 4, n_actions: int = 4, spurious: int = 40, episodes: int = 1000, seed: int = 0
) -> CandidateMDP:
    """A lock with offline data of the optimal policy, and functions that only other data can refute.

    Two observed states; the right action (the last one) in the good state keeps it, anything else leads to
    the bad state; the right action at the last stage pays 1 with probability .9. The spurious functions
    equal Q* where the data go, so that they tie with it exactly, and promise more for a wrong first action,
    consistently up to some stage. The class also holds f = 0, whose policy sees nothing that contradicts
    it. The transitions are known but for which action is right: the candidates are the locks whose right
    action is the same at every stage.

    Parameters
    ----------
    horizon, n_actions
        H and A.
    spurious
        Number of spurious functions.
    episodes
        Number of offline episodes.
    seed
        Seed of the functions and of the data.

    Returns
    -------
    CandidateMDP
        S = 2, C* = 1 for the data.
    """
    check_count("horizon", horizon, low=2)
    check_count("n_actions", n_actions, low=2)
    check_count("spurious", spurious, low=0)
    rng = np.random.default_rng(seed)
    models = [_observed_lock(horizon, n_actions, right) for right in (n_actions - 1, *range(n_actions - 1))]
    mdp = models[0]
    best = backward_induction(mdp).action_values
    wrong = [_spurious(best, rng) for _ in range(spurious)]
    functions = FiniteFunctionClass(np.stack([best, *wrong, np.zeros_like(best)]))
    behaviour = DeterministicPolicy(np.full((horizon, 2), n_actions - 1), n_actions)
    data = simulate_episodes(mdp, behaviour, check_count("episodes", episodes), rng)
    hypotheses = Hypotheses(functions, FiniteModelClass.from_models(models))
    return CandidateMDP(mdp, hypotheses, behaviour, data)


def _observed_lock(horizon: int, n_actions: int, right: int) -> EpisodicMDP:
    P, r = np.zeros((horizon, 2, n_actions, 2)), np.zeros((horizon, 2, n_actions))
    P[..., 1] = 1
    P[:, 0, right] = 1, 0
    r[-1, 0, right] = 0.9
    return EpisodicMDP(P, r, np.array([1.0, 0.0]), noise=RewardNoise(BERNOULLI))


def _spurious(best: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return Q* with a promise u > .9 along a path of wrong actions that breaks after a random stage."""
    H, _, A = best.shape
    f, u = best.copy(), 0.9 + 0.1 * rng.random()
    f[0, 0, rng.integers(A - 1)] = u
    for h in range(1, 1 + int(rng.integers(H))):
        f[h, 1, rng.integers(A)] = u
    return f


def incomplete_hybrid(spurious: int = 5, episodes: int = 1000, seed: int = 0) -> CandidateMDP:
    """Offline data cover the optimal policy, and fitted Q-iteration is wrong for ever all the same.

    From the start, action 0 leads to a state worth .9, action 1 to one worth 0, action 2 to one worth .45.
    The data take actions 0 and 1 equally often, and the first action of two afterwards. A spurious function
    promises more than .95 for the second action after action 1, which no data show, and (.4, .44, .45) at
    the start: its first stage fits its own false backup better than that of Q* does, for its error after
    action 0 is half of the other one's after action 1. Its policy takes action 2 and never learns
    anything. As one function, its residual after action 0 is -.5, on data that cover the optimal policy.

    Parameters
    ----------
    spurious
        Number of spurious functions, which differ in what they promise.
    episodes
        Number of offline episodes.
    seed
        Seed of the data.

    Returns
    -------
    CandidateMDP
        H = 2, S = 4, A = 3, C* = 2 for the data. The transitions are known up to the order of what the three
        first actions lead to.
    """
    check_count("spurious", spurious)
    models = [_branches(order) for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))]
    mdp = models[0]
    best = backward_induction(mdp).action_values
    functions = [best]
    for promise in np.linspace(0.955, 1.0, spurious):
        f = best.copy()
        f[0, 0] = 0.4, 0.44, 0.45
        f[1, 2, 1] = promise
        functions.append(f)
    probabilities = np.zeros((2, 4, 3))
    probabilities[..., 0] = 1
    probabilities[0, 0] = 0.5, 0.5, 0.0
    behaviour = Policy(probabilities)
    rng = np.random.default_rng(seed)
    data = simulate_episodes(mdp, behaviour, check_count("episodes", episodes), rng)
    hypotheses = Hypotheses(FiniteFunctionClass(np.stack(functions)), FiniteModelClass.from_models(models))
    return CandidateMDP(mdp, hypotheses, behaviour, data)


def _branches(order: tuple[int, int, int]) -> EpisodicMDP:
    """Return the model in which first action a leads to state 1 + order[a]."""
    P, r = np.zeros((2, 4, 3, 4)), np.zeros((2, 4, 3))
    P[0, 1:, :, 0] = P[1, :, :, 0] = 1
    for a, branch in enumerate(order):
        P[0, 0, a, 1 + branch] = 1
    r[1, 1, 0], r[1, 3] = 0.9, 0.45
    return EpisodicMDP(P, r, np.eye(4)[0], noise=RewardNoise(BERNOULLI))


def defect_class(
    n_states: int = 4,
    n_actions: int = 3,
    horizon: int = 3,
    functions: int = 20,
    defects: int = 3,
    oracle: bool = False,
    seed: int = 0,
) -> CandidateMDP:
    """A random sparse model, and functions that are consistent but for one to `defects` pairs.

    Rows are Dirichlet(1/2); at the last stage each pair pays 1 with probability .4 (drawn once), nothing is
    paid before. A function is Q* recomputed backwards with some pairs overwritten by 0, 1 or a uniform
    number: consistent with the model elsewhere, hence hard to refute.

    Parameters
    ----------
    n_states, n_actions, horizon
        S, A and H.
    functions
        Number of functions, Q* (the first one) included.
    defects
        Most pairs that one of them has wrong.
    oracle
        Give the true model as the only candidate; otherwise another random one too.
    seed
        Seed of everything.

    Returns
    -------
    CandidateMDP
        With rewards that are not random.
    """
    check_count("functions", functions)
    check_count("defects", defects)
    check_count("n_states", n_states)
    check_count("n_actions", n_actions)
    check_count("horizon", horizon)
    rng = np.random.default_rng(seed)
    mdp = _sparse_model(n_states, n_actions, horizon, rng)
    best = backward_induction(mdp).action_values
    others = [_with_defects(mdp, int(rng.integers(1, defects + 1)), rng) for _ in range(functions - 1)]
    models = [mdp]
    if not oracle:
        other = _sparse_model(n_states, n_actions, horizon, rng)
        models.append(EpisodicMDP(other.P, other.r, mdp.rho))
    classes = FiniteFunctionClass(np.stack([best, *others])), FiniteModelClass.from_models(models)
    return CandidateMDP(mdp, Hypotheses(*classes, oracle=oracle))


def _sparse_model(n_states: int, n_actions: int, horizon: int, rng: np.random.Generator) -> EpisodicMDP:
    P = rng.dirichlet(np.full(n_states, 0.5), size=(horizon, n_states, n_actions))
    r = np.zeros((horizon, n_states, n_actions))
    r[-1] = rng.random((n_states, n_actions)) < 0.4
    return EpisodicMDP(P, r, rng.dirichlet(np.ones(n_states)))


def _with_defects(mdp: EpisodicMDP, defects: int, rng: np.random.Generator) -> np.ndarray:
    H, S, A = mdp.r.shape
    cells = {(int(rng.integers(H)), int(rng.integers(S)), int(rng.integers(A))) for _ in range(defects)}
    Q, V = np.empty((H, S, A)), np.zeros(S)
    for h in range(H - 1, -1, -1):
        Q[h] = np.clip(mdp.r[h] + mdp.P[h] @ V, 0.0, 1.0)
        for stage, s, a in cells:
            if stage == h:
                Q[h, s, a] = (0.0, 1.0, rng.random())[int(rng.integers(3))]
        V = Q[h].max(axis=1)
    return Q
