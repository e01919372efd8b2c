"""Grid worlds with slippery floors, walls and pits."""

from collections.abc import Mapping

import numpy as np

from theoryrl.instances._build import check_positive, start_in
from theoryrl.models import EpisodicMDP
from theoryrl.models._validation import check_count, check_memory, check_real

UP, RIGHT, DOWN, LEFT = range(4)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""(row, column) steps of the actions up, right, down, left."""

START, GOAL, PIT, WALL, FREE = "S", "G", "P", "#", "."
Cell = tuple[int, int]


def gridworld(
    width: int = 4,
    height: int = 4,
    horizon: int = 12,
    slip: float = 0.1,
    goal_reward: float = 1.0,
    layout: str = "",
) -> EpisodicMDP:
    """Walk through a grid to a goal that pays at every stage spent in it.

    Actions 0, 1, 2, 3 try to move up, right, down, left. A move succeeds with probability 1 - slip,
    and goes to either side of the intended direction with probability slip / 2 each; a move into a
    wall or over the edge stays. The goal and the pits are absorbing.

    Parameters
    ----------
    width, height
        Columns and rows; at least two cells in all.
    horizon
        Stages per episode, at least 1.
    slip
        Probability of going sideways, in [0, 1].
    goal_reward
        Reward per stage spent in the goal, in (0, 1].
    layout
        `height` rows of `width` characters, from the top, joined by ``/``: ``S`` the start and
        ``G`` the goal (one each), ``#`` a wall, ``P`` a pit, ``.`` free floor. Empty: no walls, no
        pits, start in the top left corner, goal in the bottom right one.

    Returns
    -------
    EpisodicMDP
        The states are the cells that are not walls, in reading order; A = 4; the kernel does not
        depend on the stage.

    Notes
    -----
    A text-book model (Sutton and Barto 2018, chapter 3; sideways slips as in Russell and Norvig).
    With slip = 0 and a shortest path of d moves, V* = goal_reward max(horizon - d, 0). In a
    corridor (height 1) with slip <= 2/3 the optimal policy always moves right, and V* =
    goal_reward E[max(horizon - T, 0)], where T is the trial at which width - 1 successes of
    probability 1 - slip are complete. Otherwise the optimum has no closed form.
    """
    check_count("width", width)
    check_count("height", height)
    check_count("horizon", horizon)
    check_real("slip", slip, 0.0, 1.0)
    check_positive("goal_reward", goal_reward, 1.0)
    if width * height < 2:
        raise ValueError(f"width and height must leave room for start and goal; got {width} x {height}")
    check_memory("P", horizon, width * height, 4, width * height)
    grid = _parse(layout, width, height) if layout else _open_grid(width, height)
    state_of = {cell: i for i, cell in enumerate(cell for cell in grid if grid[cell] != WALL)}
    P = np.zeros((len(state_of), 4, len(state_of)))
    for cell, s in state_of.items():
        for a in range(4):
            for direction, probability in _directions(a, slip):
                P[s, a, state_of[_step(grid, cell, direction)]] += probability
    goal = state_of[_find(grid, GOAL)]
    r = np.zeros((len(state_of), 4))
    r[goal] = goal_reward
    return EpisodicMDP.stationary(P, r, start_in(state_of[_find(grid, START)], len(state_of)), horizon)


def _open_grid(width: int, height: int) -> dict[Cell, str]:
    grid = {(row, column): FREE for row in range(height) for column in range(width)}
    return grid | {(0, 0): START, (height - 1, width - 1): GOAL}


def _parse(layout: str, width: int, height: int) -> dict[Cell, str]:
    rows = layout.split("/")
    if len(rows) != height:
        raise ValueError(f"layout must have {height} rows, as height says; got {len(rows)}: {layout!r}")
    for index, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"layout row {index} must have {width} cells, as width says; got {row!r}")
    grid = {(i, j): symbol for i, row in enumerate(rows) for j, symbol in enumerate(row)}
    for (i, j), symbol in grid.items():
        if symbol not in (START, GOAL, PIT, WALL, FREE):
            raise ValueError(f"layout row {i}, column {j} must be one of S, G, P, #, .; got {symbol!r}")
    for symbol in (START, GOAL):
        found = layout.count(symbol)
        if found != 1:
            raise ValueError(f"layout must have exactly one {symbol}; got {found} in {layout!r}")
    return grid


def _directions(action: int, slip: float) -> tuple[tuple[int, float], ...]:
    return (action, 1 - slip), ((action + 1) % 4, slip / 2), ((action - 1) % 4, slip / 2)


def _step(grid: Mapping[Cell, str], cell: Cell, direction: int) -> Cell:
    if grid[cell] in (GOAL, PIT):
        return cell
    target = (cell[0] + MOVES[direction][0], cell[1] + MOVES[direction][1])
    return target if grid.get(target, WALL) != WALL else cell


def _find(grid: Mapping[Cell, str], symbol: str) -> Cell:
    return next(cell for cell, found in grid.items() if found == symbol)
