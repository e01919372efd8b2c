"""Sequences of linear systems: shifted Laplacians, the heat equation, random matrices.

Each returns a `RelaxationTuning`; a learner that plays it chooses the parameter of every solve.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import splu

from theoryrl.models import LinearSystems, RelaxationTuning, SPDMatrix
from theoryrl.models._validation import check_choice, check_count, check_memory, check_real

GRID = (1.0, 1.95)
"""Ends of the grid of parameters in the experiments of Khodak et al."""


def laplacian(side: int) -> sparse.csr_array:
    """Return the 5-point Laplacian of a square with `side` x `side` interior points: 4 and -1, times 1."""
    return domain_laplacian(np.ones((side, side), dtype=bool))


def domain_laplacian(inside: Bool[np.ndarray, "rows columns"]) -> sparse.csr_array:
    """Return the 5-point Laplacian of the marked grid points, numbered row by row, zero outside: 4 and -1."""
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    pairs = []
    for first, second in ((number[:, :-1], number[:, 1:]), (number[:-1], number[1:])):
        both = (first >= 0) & (second >= 0)
        pairs.append((first[both], second[both]))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    upper = sparse.coo_array((-np.ones(len(rows)), (rows, columns)), shape=(inside.sum(),) * 2)
    return sparse.csr_array(upper + upper.T + 4 * sparse.eye_array(inside.sum()))


def l_shape(side: int) -> Bool[np.ndarray, "side side"]:
    """Return a square without its last quadrant."""
    inside = np.ones((side, side), dtype=bool)
    inside[side // 2 :, side // 2 :] = False
    return inside


def truncated_gaussian(rows: int, n: int, rng: np.random.Generator) -> Float[np.ndarray, "rows n"]:
    """Return standard Gaussian vectors conditioned on a norm of at most sqrt(n), by rejection."""
    kept = np.empty((0, n))
    while len(kept) < rows:
        drawn = rng.standard_normal((2 * (rows - len(kept)) + 8, n))
        kept = np.vstack([kept, drawn[(drawn**2).sum(axis=1) <= n]])
    return kept[:rows]


def shifted_laplacian(
    side: int = 10,
    rounds: int = 500,
    spread: str = "high",
    n_omegas: int = 20,
    different: int = 0,
    method: str = "sor",
    seed: int = 0,
) -> RelaxationTuning:
    """Laplacian plus a random multiple of the identity, with random targets; the shift is the context.

    Shifts are ``-0.15 + 0.6 Beta(1/2, 3/2)`` (high spread) or ``-0.15 + 0.6 Beta(2, 6)`` (low spread),
    targets Gaussian vectors with a norm of at most sqrt(n); the grid is [1, 1.95].

    Parameters
    ----------
    side
        Points along a side of the square; n = side^2.
    rounds
        Number of systems T.
    spread
        ``"high"`` or ``"low"``.
    n_omegas
        Number of parameters d.
    different
        So many different systems, each drawn again and again; 0 for a new one in every round.
    method
        ``"sor"``, ``"ssor"`` or ``"ssor-pcg"``.
    seed
        Of shifts and targets.

    Source: Khodak et al. (2024), section 2.3 and appendix.
    """
    check_count("side", side)
    check_count("rounds", rounds)
    check_choice("spread", spread, ("high", "low"))
    U = check_count("different", different, low=0) or rounds
    check_count("n_omegas", n_omegas)
    check_memory("targets", U, side * side)
    A = SPDMatrix.of(laplacian(side))
    least = 4 - 4 * np.cos(np.pi / (side + 1))
    if least <= 0.15:
        raise ValueError(f"side must be at most 10 for shifts down to -0.15; got {side}")
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    shape = (0.5, 1.5) if spread == "high" else (2.0, 6.0)
    shifts = -0.15 + 0.6 * rng.beta(*shape, size=U)
    order = rng.integers(U, size=rounds) if different else np.arange(rounds)
    systems = shifted_sequence(A, shifts, truncated_gaussian(U, A.n, rng), order, (-0.15, 0.65))
    return RelaxationTuning(systems, np.linspace(*GRID, n_omegas), method)


def shifted_sequence(
    A: SPDMatrix,
    shifts: Float[np.ndarray, " U"],
    targets: Float[np.ndarray, "U n"],
    order: Int[np.ndarray, " T"],
    context_range: tuple[float, float],
) -> LinearSystems:
    """Return the systems ``(A + c I) x = b`` in a given order; the shift c is the context."""
    return LinearSystems(
        matrices=(A,),
        matrix=np.zeros(len(shifts), dtype=np.int64),
        scale=np.ones(len(shifts)),
        shift=shifts,
        targets=targets,
        order=order,
        contexts=shifts[order],
        context_range=context_range,
    )


def alternating_laplacian(
    side: int = 10,
    rounds: int = 400,
    block: int = 50,
    n_omegas: int = 20,
    largest: float = 1.95,
    targets: int = 10,
) -> RelaxationTuning:
    """Laplacian shifted by -0.05 and 0.3 in turn, a block of rounds each; no context.

    Parameters
    ----------
    side
        Points along a side of the square, at most 10.
    rounds, block
        Number of systems T, and how many in a row have the same shift.
    n_omegas
        The grid is ``1 + (largest - 1) i / n_omegas`` for i = 1, ..., n_omegas, as in the theorem.
    largest
        w_max, in (1, 2).
    targets
        Number of different targets for each shift, seeded with 0.
    """
    check_count("side", side, high=10)
    check_count("rounds", rounds)
    check_count("block", block)
    check_count("n_omegas", n_omegas)
    check_count("targets", targets)
    if not 1 < check_real("largest", largest, high=2.0) < 2:
        raise ValueError(f"largest must be in (1, 2); got {largest!r}")
    A = SPDMatrix.of(laplacian(side))
    rng = np.random.default_rng(0)
    vectors = truncated_gaussian(2 * targets, A.n, rng)
    t = np.arange(rounds)
    systems = LinearSystems(
        matrices=(A,),
        matrix=np.zeros(2 * targets, dtype=np.int64),
        scale=np.ones(2 * targets),
        shift=np.repeat([-0.05, 0.3], targets),
        targets=vectors,
        order=(t // block % 2) * targets + rng.integers(targets, size=rounds),
    )
    return RelaxationTuning(systems, 1 + (largest - 1) * np.arange(1, n_omegas + 1) / n_omegas)


def heat_equation(
    side: int = 24,
    rounds: int = 500,
    dt: float = 0.001,
    n_omegas: int = 20,
    method: str = "ssor-pcg",
    moving: str = "both",
) -> RelaxationTuning:
    """Crank-Nicolson steps of the heat equation with a diffusion coefficient that changes in time.

    On the unit square with zero boundary: ``A_t = I - (dt/2) kappa(t) Laplace``, warm-started from the
    state before; ``kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t)`` at mid-step, a source that circles
    around the centre, and a bump as the first state. The trajectory is that of a direct solver, so it does
    not depend on the learner. The context is kappa at the start of the step.

    Parameters
    ----------
    side
        Interior points along a side; n = side^2.
    rounds
        Number of time steps T.
    dt
        Length of a time step.
    n_omegas
        Number of parameters, evenly spaced in [1, 1.95].
    method
        ``"ssor-pcg"`` as in the paper, ``"sor"`` or ``"ssor"``.
    moving
        ``"both"``, ``"diffusion"`` (no source) or ``"source"`` (kappa = 1; the context is the time of day).

    Source: Khodak et al. (2024), section 4 and the released scripts.
    """
    check_count("side", side, low=2)
    check_count("rounds", rounds)
    check_choice("moving", moving, ("both", "diffusion", "source"))
    if check_real("dt", dt) <= 0:
        raise ValueError(f"dt must be positive; got {dt!r}")
    check_count("n_omegas", n_omegas)
    n = side * side
    check_memory("targets", 2 * rounds, n)
    h = 1 / (side + 1)
    stiff = laplacian(side) / h**2
    points = h * np.arange(1, side + 1)
    plane = np.meshgrid(points, points, indexing="ij")
    u = bump(plane, (0.5, 0.5), 0.25).ravel()
    scale, contexts = np.empty(rounds), np.empty(rounds)
    targets, starts = np.empty((rounds, n)), np.empty((rounds, n))
    one = sparse.eye_array(n)
    for step in range(rounds):
        t = step * dt
        kappa = 1.0 if moving == "source" else diffusion(t + dt / 2)
        contexts[step] = t % 1 if moving == "source" else diffusion(t)
        scale[step] = 0.5 * dt * kappa
        starts[step] = u
        source = 0.0 if moving == "diffusion" else 32 * circling(plane, t + dt / 2)
        targets[step] = u - scale[step] * (stiff @ u) + dt * np.ravel(source)
        u = splu(sparse.csc_array(one + scale[step] * stiff)).solve(targets[step])
    systems = LinearSystems(
        matrices=(SPDMatrix.of(stiff),),
        matrix=np.zeros(rounds, dtype=np.int64),
        scale=scale,
        shift=np.ones(rounds),
        targets=targets,
        order=np.arange(rounds),
        starts=starts,
        contexts=contexts,
        context_range=(0.0, 1.0) if moving == "source" else (0.0, 10.0),
    )
    return RelaxationTuning(systems, np.linspace(*GRID, n_omegas), method)


def diffusion(t: float) -> float:
    """Return ``kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t)``."""
    wave = np.sin(2 * np.pi * t)
    return float(max(0.1 * wave, -10 * wave))


def bump(
    plane: list[np.ndarray] | tuple[np.ndarray, ...], centre: tuple[float, float], radius: float
) -> np.ndarray:
    """Return ``exp(1 - 1 / (1 - min(1, |x - c|^2 / r^2)))`` on a grid: smooth, 1 at the centre, 0 outside."""
    distance = sum((axis - c) ** 2 for axis, c in zip(plane, centre, strict=True)) / radius**2
    inside = np.asarray(distance) < 1
    return np.where(inside, np.exp(1 - 1 / np.where(inside, 1 - np.asarray(distance), 1.0)), 0.0)


def circling(plane: list[np.ndarray] | tuple[np.ndarray, ...], t: float) -> np.ndarray:
    """Return the source's bump at time t: eight times around the centre while t grows by one."""
    centre = (0.5 + np.cos(16 * np.pi * t) / 4, 0.5 + np.sin(16 * np.pi * t) / 4)
    return bump(plane, (float(centre[0]), float(centre[1])), 0.125)


def random_spd(
    n: int = 60,
    rounds: int = 300,
    density: float = 0.1,
    n_omegas: int = 20,
    different: int = 20,
    seed: int = 0,
) -> RelaxationTuning:
    """Random sparse positive definite matrices: not consistently ordered, so Young's formula is of no help.

    ``A = B B^T + D`` with a sparse Gaussian B and a diagonal D drawn anew for every matrix.

    Parameters
    ----------
    n
        Order of the matrices.
    rounds
        Number of systems T.
    density
        Of B, in (0, 1].
    n_omegas
        Number of parameters, evenly spaced in [1, 1.95].
    different
        Number of different matrices.
    seed
        Of everything.
    """
    check_count("n", n)
    check_count("rounds", rounds)
    check_count("different", different)
    check_count("n_omegas", n_omegas)
    if not 0 < check_real("density", density) <= 1:
        raise ValueError(f"density must be in (0, 1]; got {density!r}")
    check_memory("matrices", different, n, n)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    matrices = []
    for _ in range(different):
        B = np.where(rng.random((n, n)) < density, rng.standard_normal((n, n)), 0.0)
        matrices.append(SPDMatrix.of(sparse.csr_array(B @ B.T + np.diag(0.1 + rng.random(n)))))
    systems = LinearSystems(
        matrices=tuple(matrices),
        matrix=np.arange(different),
        scale=np.ones(different),
        shift=np.zeros(different),
        targets=truncated_gaussian(different, n, rng),
        order=rng.integers(different, size=rounds),
    )
    return RelaxationTuning(systems, np.linspace(*GRID, n_omegas), "ssor")
