"""Frozen lake with an adversary that can push into the holes."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.instances.gridworld import MOVES
from theoryrl.models import EpisodicMDP, LinearMDP, RobustLinearMDP, Uncertainty
from theoryrl.models._validation import check_count, check_real

LAYOUT = ("SFFF", "FHFH", "FFFH", "HFFG")


def frozen_lake(
    slip: float = 1 / 3, radius: float = 0.1, temperature: float = 0.0, horizon: int = 20
) -> RobustLinearMDP:
    """Cross the 4 x 4 frozen lake; each row is uncertain.

    A move goes where it is meant to with probability 1 - 2 slip, and to either side with probability
    slip each. Reaching the goal pays 1, once; then, as after falling into a hole, the episode is over.

    Parameters
    ----------
    slip
        In [0, 1/2]; 1/3 is the field's.
    radius
        rho of total variation around every row outside the final state, in [0, 1].
    temperature
        eta of the policy regulariser; the reference policy is uniform.
    horizon
        H, at least 1.

    Returns
    -------
    RobustLinearMDP
        S = 13: the cells that are not holes, in reading order, and the final state, which is the fail
        state; A = 4 (up, right, down, left); d = S A unit vectors.
    """
    mdp = frozen_lake_target(slip, horizon)
    radii = np.full((mdp.n_states, mdp.n_actions), check_real("radius", radius, 0.0, 1.0))
    radii[-1] = 0.0
    uncertainty = Uncertainty("tv", radii.reshape(-1))
    return RobustLinearMDP(
        LinearMDP.from_episodic(mdp), uncertainty, fail_state=mdp.n_states - 1, temperature=temperature
    )


def frozen_lake_target(slip: float = 1 / 3, horizon: int = 20) -> EpisodicMDP:
    """The frozen lake with another slip: a model in which policies are tested.

    Parameters
    ----------
    slip, horizon
        As for `frozen_lake`.

    Returns
    -------
    EpisodicMDP
        The same states and actions as `frozen_lake`.
    """
    check_real("slip", slip, 0.0, 0.5)
    check_count("horizon", horizon)
    cells = {(i, j): symbol for i, row in enumerate(LAYOUT) for j, symbol in enumerate(row)}
    index = {cell: s for s, cell in enumerate(cell for cell in cells if cells[cell] != "H")}
    over = len(index)
    P = np.zeros((over + 1, 4, over + 1))
    P[over, :, over] = 1.0
    for cell, s in index.items():
        for a in range(4):
            if cells[cell] == "G":
                P[s, a, over] = 1.0
                continue
            for direction, probability in ((a, 1 - 2 * slip), ((a + 1) % 4, slip), ((a - 1) % 4, slip)):
                target = (cell[0] + MOVES[direction][0], cell[1] + MOVES[direction][1])
                target = target if target in cells else cell
                P[s, a, index.get(target, over)] += probability
    r = np.zeros((over + 1, 4))
    r[index[3, 3]] = 1.0
    return EpisodicMDP.stationary(P, r, start_in(0, over + 1), horizon)
