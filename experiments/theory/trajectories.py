"""What single runs look like: x on Eq.1 (Fig 2), the two second moments on Eq.2 (Fig 4), paths on Rosenbrock."""

from collections.abc import Mapping, Sequence

import numpy as np

from acprop.runs import Run, require, require_one_of
from experiments.theory.problems import PERIODIC, rosenbrock, rosenbrock_gradient
from experiments.theory.recurrences import MUTANTS, RULES, Rule, start

POINTS = 1000  # as many of a long path are kept


def drifting(
    run: Run, optimizers: Sequence[str], mutants: Sequence[str], P: int, beta1: float, beta2: float, lr: float,
    x0: float, steps: int, budget: float,
) -> None:  # fmt: skip
    """Fig 2: x on Eq.1 under lr / sqrt(t). Keeps t (points,) and x (optimizer, points); logs the last x, of mutants
    too."""
    _check(optimizers, mutants)
    problem = PERIODIC["eq1"]
    steps = round(budget * steps)
    times = np.unique(np.geomspace(1, steps, POINTS).astype(int))
    names = [*optimizers, *mutants]
    paths = np.empty((len(names), len(times)))
    for path, name in zip(paths, names, strict=True):
        rule, x, every = start(name, beta1, beta2), x0, np.empty(steps)
        for t in range(1, steps + 1):
            step = rule.send(problem.gradient(t, P))
            x = every[t - 1] = np.clip(x - lr / np.sqrt(t) * step, problem.low, problem.high)
        path[:] = every[times - 1]
        run.log(name, x=x)
    run.keep(t=times, x=paths[: len(optimizers)])


def second_moments(run: Run, P: int, beta1: float, beta2: float, steps: int) -> None:
    """Fig 4: on Eq.2, the second moment v_t around zero and s_t around the mean. Keeps t, g, v, s: (steps,)."""
    m = v = s = 0.0
    t = np.arange(1, steps + 1)
    g = PERIODIC["eq2"].gradient(t, P)
    both = np.empty((2, steps))
    for i, grad in enumerate(g):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        s = beta2 * s + (1 - beta2) * (grad - m) ** 2
        both[:, i] = v, s
    last = both[:, -P:]
    run.log("uncentred", smallest=last[0].min(), largest=last[0].max())
    run.log("centred", smallest=last[1].min(), largest=last[1].max())
    run.keep(t=t, g=g, v=both[0], s=both[1])


def valley(
    run: Run, optimizers: Sequence[str], mutants: Sequence[str], published: Mapping[str, Mapping[str, float]],
    lrs: Sequence[float], beta1: float, beta2: float, x0: Sequence[float], steps: int, budget: float,
) -> None:  # fmt: skip
    """Rosenbrock with every lr of the grid at once. Of each optimizer two are logged: lr, distance and loss of the one
    with the smallest mean distance to (1, 1) over the run, which the figure shows; and `by_final`, those of the one
    with the smallest distance at the end. `published`: an optimizer at the settings that its published curve follows.

    Keeps t (points,), path (optimizer, points, 2), distance (optimizer, points), lr.
    """
    _check(optimizers, mutants)
    steps = round(budget * steps)
    times = np.unique(np.geomspace(1, steps, POINTS).astype(int))

    def descend(rule: Rule, rates: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Points (time, lr, 2) and the sum of distances (lr,)."""
        x, total, path = np.tile(np.array(x0, float), (len(rates), 1)), np.zeros(len(rates)), []
        rate, keep = np.array(rates)[:, None], set(times.tolist())
        with np.errstate(over="ignore", invalid="ignore"):  # too large an lr may leave the floats: it is not chosen
            for t in range(1, steps + 1):
                x = x - rate * rule.send(rosenbrock_gradient(x))
                total += np.hypot(*(x - 1).T)
                if t in keep:
                    path.append(x)
        return np.array(path), total

    def told(point: np.ndarray) -> dict[str, float]:
        return {"distance": float(np.hypot(*(point - 1))), "loss": float(rosenbrock(*point))}

    paths, chosen = {}, {}
    for name in dict.fromkeys((*optimizers, *mutants)):
        path, total = descend(start(name, beta1, beta2), lrs)
        last = np.hypot(*(path[-1] - 1).T)
        best, nearest = (int(np.argmin(np.where(np.isfinite(worth), worth, np.inf))) for worth in (total, last))
        paths[name], chosen[name] = path[:, best], lrs[best]
        run.log(name, lr=lrs[best], **told(path[-1, best]))
        run.log(f"{name}/by_final", lr=lrs[nearest], **told(path[-1, nearest]))
    for name, at in published.items():
        path, _ = descend(start(name, beta1, at.get("beta2", beta2)), [at["lr"]])
        run.log(f"{name}/published", lr=at["lr"], **told(path[-1, 0]))
    kept = np.array([paths[name] for name in optimizers])
    distance = np.hypot(kept[..., 0] - 1, kept[..., 1] - 1)
    run.keep(t=times, path=kept, distance=distance, lr=np.array([chosen[name] for name in optimizers]))


def _check(optimizers: Sequence[str], mutants: Sequence[str]) -> None:
    require(len(optimizers) > 0, "study.optimizers", optimizers, "at least one name")
    for name in optimizers:
        require_one_of("study.optimizers", name, RULES)
    for name in mutants:
        require_one_of("study.mutants", name, MUTANTS)
