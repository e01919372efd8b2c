"""``theoryrl solve``: the optimal value of a model, with proven bounds."""

from __future__ import annotations

import inspect
import io
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theoryrl.cli._output import EXAMPLE, bad_option, checked_file, complaints_about, number

if TYPE_CHECKING:
    from theoryrl.models import RobustLinearMDP, RobustMDP
    from theoryrl.solvers import Solution

NOT_PROVEN, INTERRUPTED = 1, 130


@click.command(
    epilog=EXAMPLE
    + "  theoryrl solve riverswim:n_states=10,horizon=30\n"
    + "  theoryrl solve replacement:n_states=10000,gamma=0.9999 --tol 1e-5\n"
    + "  theoryrl solve model.npz --method linear-program --json\n"
    + "  theoryrl solve riverswim --uncertainty tv:0.1\n"
    + "  theoryrl solve five-state --uncertainty kl-penalty:2"
)
@click.argument("model", metavar="FILE.npz|NAME[:key=value,...]")
@click.option("--method", default="auto", show_default=True, help="Name of a solver.")
@click.option(
    "--uncertainty",
    metavar="SET:RADIUS",
    help="Solve for the worst kernel of a set: tv, l1, linf, kl, chi2, wasserstein or contamination; "
    "or with a price, as in kl-penalty:2.",
)
@click.option(
    "--rectangularity",
    type=click.Choice(["sa", "s"]),
    default="sa",
    show_default=True,
    help="A set for each state and action (or factor of a linear model), or one budget a state (l1).",
)
@click.option(
    "--temperature", type=float, default=0.0, show_default=True, help="Price of leaving the uniform policy."
)
@click.option("--tol", type=float, default=None, help="Largest error of the value, for iterative solvers.")
@click.option("--progress", is_flag=True, help="Print the proven error after each sweep.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=checked_file,
    help="Write value, lower, upper and policy to this .npz file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def solve(
    context: click.Context,
    model: str,
    method: str,
    uncertainty: str | None,
    rectangularity: str,
    temperature: float,
    tol: float | None,
    progress: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Solve a model exactly: a file, or a named instance.

    Exit code 1 means that the tolerance was not proven; the bounds that were are printed. Ctrl-C prints
    the bounds of that moment.
    """
    from theoryrl import solvers

    problem = read_model(model)
    if uncertainty is not None:
        with complaints_about("--uncertainty"):
            problem = robust_model(problem, uncertainty, rectangularity, temperature)
    elif rectangularity != "sa" or temperature != 0.0:
        raise bad_option("--uncertainty", "is needed with --rectangularity and --temperature")
    with complaints_about("--method"):
        options = chosen_options(problem, method, tol, progress)
    started = time.perf_counter()
    code, complaint = 0, ""
    try:
        with complaints_about("--method"):
            solution = solvers.solve(problem, method, **options)
    except solvers.NotConvergedError as stopped:
        solution, code, complaint = stopped.solution, NOT_PROVEN, str(stopped)
    except solvers.InterruptedSolve as stopped:
        solution, code, complaint = stopped.solution, INTERRUPTED, str(stopped)
    seconds = time.perf_counter() - started
    if output is not None:
        write_solution(output, solution)
    show(model, problem, solution, seconds, as_json)
    if code:
        click.echo(complaint, err=True)
        context.exit(code)


def read_model(model: str) -> Any:
    """Return the model of a file or of a named instance."""
    from theoryrl import models, solvers
    from theoryrl.study.keys import build_instance

    with complaints_about("FILE.npz|NAME"):
        is_file = Path(model).suffix == ".npz" or Path(model).is_file()
        problem = models.load(model) if is_file else build_instance(model)
        if type(solvers.underlying_model(problem)) not in solvers.METHODS:
            raise TypeError(f"{model} holds {problem!r}, which is not a model that can be solved")
    return problem


def robust_model(
    problem: Any, uncertainty: str, rectangularity: str, temperature: float
) -> RobustMDP | RobustLinearMDP:
    """Return the model with the set that the text names around each of its rows, or of its factors."""
    from theoryrl import solvers
    from theoryrl.models import DiscountedMDP, EpisodicMDP, RobustLinearMDP, RobustMDP, Uncertainty

    if isinstance(problem, RobustLinearMDP):
        if rectangularity != "sa":
            raise ValueError(
                f"a linear model has a set for each factor; got rectangularity {rectangularity!r}"
            )
        model = problem.surrounded(Uncertainty.parse(uncertainty, problem.n_states))
        return model.replaced(temperature=temperature) if temperature else model
    nominal = solvers.underlying_model(problem)
    if not isinstance(nominal, EpisodicMDP | DiscountedMDP):
        raise TypeError(f"needs an episodic, discounted or linear model; got {nominal!r}")
    sets = Uncertainty.parse(uncertainty, nominal.n_states)
    return RobustMDP(nominal, sets, rectangularity=rectangularity, temperature=temperature)


def chosen_options(problem: Any, method: str, tol: float | None, progress: bool) -> dict[str, Any]:
    """Return the options for the solver, and refuse those that it does not have."""
    from theoryrl import solvers

    problem = solvers.underlying_model(problem)
    methods = solvers.METHODS[type(problem)]
    solver: Callable[..., Any] = methods[next(iter(methods)) if method == "auto" else method]
    wanted: dict[str, Any] = {}
    if tol is not None:
        wanted["tol"] = tol
    if progress:
        wanted["on_sweep"] = lambda sweep: click.echo(
            f"sweep {sweep.sweeps}: proven error {number(sweep.gap / 2)}", err=True
        )
    for name, option in (("tol", "--tol"), ("on_sweep", "--progress")):
        if name in wanted and name not in inspect.signature(solver).parameters:
            raise bad_option(option, f"the solver {method} of a {type(problem).__name__} does not take it")
    return wanted


def show(model: str, problem: Any, solution: Solution, seconds: float, as_json: bool) -> None:
    """Print the answer."""
    answer = describe(solution, seconds)
    if as_json:
        click.echo(json.dumps({"model": model, **answer}, indent=2, allow_nan=False))
        return
    click.echo(f"model       {problem!r}")
    click.echo(f"method      {answer['method']}")
    if solution.overall is None:
        low, high = answer["lowest"], answer["highest"]
        click.echo(
            f"value       from {low['value']!r} ({solution.entry} {low[solution.entry]}) "
            f"to {high['value']!r} ({solution.entry} {high[solution.entry]})"
        )
        radius = number(float(answer["gap"]) / 2)
        click.echo(f"interval    every {solution.entry}'s value plus or minus {radius}")
    else:
        meaning = f" ({solution.meaning})" if solution.meaning else ""
        click.echo(f"value       {answer['value']!r}{meaning}")
        interval = f"[{answer['lower']!r}, {answer['upper']!r}]"
        click.echo(f"interval    {interval}, width {number(answer['gap'])}")
    click.echo(f"policy      {answer['policy']}")
    click.echo(f"iterations  {answer['iterations']}")
    click.echo(f"time        {number(answer['seconds'])} s")


def describe(solution: Solution, seconds: float) -> dict[str, Any]:
    """Return the answer as JSON data: one value, or the lowest and the highest of many."""
    import numpy as np

    common = {
        "method": solution.method,
        "policy": summary(solution),
        "iterations": solution.iterations,
        "seconds": seconds,
    }
    if solution.overall is not None:
        value, lower, upper = solution.overall
        return common | {"value": value, "lower": lower, "upper": upper, "gap": upper - lower}
    extremes = {"lowest": int(np.argmin(solution.value)), "highest": int(np.argmax(solution.value))}
    arrays = {"value": solution.value, "lower": solution.lower, "upper": solution.upper}
    chosen = {
        name: {solution.entry: index, **{side: real(array[index]) for side, array in arrays.items()}}
        for name, index in extremes.items()
    }
    return common | chosen | {"gap": real(solution.gap)}


def real(value: Any) -> float | str:
    """Return a float, or the text inf or -inf, which JSON has no number for."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def write_solution(path: Path, solution: Solution) -> None:
    """Write the arrays of a solution; of a deterministic policy its actions."""
    import numpy as np

    from theoryrl._files import write_atomically

    content = io.BytesIO()
    policy = getattr(solution.policy, "actions", None)
    policy = solution.policy.probabilities if policy is None else policy
    np.savez(content, value=solution.value, lower=solution.lower, upper=solution.upper, policy=policy)
    with complaints_about("--output"):
        write_atomically(path, content.getvalue())


def summary(solution: Solution) -> str:
    """Return what the policy is, and what it does first in up to twelve states (contexts, ...).

    Of a policy that randomises, the most likely action; of one with several stages, the first stage. What is
    not a table of actions describes itself.
    """
    policy = solution.policy
    actions = getattr(policy, "actions", None)
    if actions is None and hasattr(policy, "probabilities"):
        actions = policy.probabilities.argmax(axis=-1)
    if actions is None:
        return repr(policy)
    staged = getattr(policy, "horizon", None) is not None
    first = (actions[0] if staged else actions).reshape(-1)
    shown = " ".join(str(int(action)) for action in first[:12])
    where = f"at the first stage, by {solution.entry}" if staged else f"by {solution.entry}"
    return f"{policy!r}; {where}: {shown}{' ...' if len(first) > 12 else ''}"
