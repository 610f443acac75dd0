"""What single runs look like: x on Eq.1 (Fig 2), the two second moments on Eq.2 (Fig 4), paths on Rosenbrock."""

from collections.abc import Sequence

import numpy as np

from acprop.runs import Run, require, require_one_of
from experiments.theory.problems import PERIODIC, rosenbrock, rosenbrock_gradient
from experiments.theory.recurrences import RULES, start

POINTS = 1000  # as many of a long path are kept


def drifting(
    run: Run, optimizers: Sequence[str], P: int, beta1: float, beta2: float, lr: float, x0: float, steps: int,
    budget: float,
) -> None:  # fmt: skip
    """Fig 2: x on Eq.1 under lr / sqrt(t). Keeps t (points,) and x (optimizer, points); logs the last x."""
    _check(optimizers)
    problem = PERIODIC["eq1"]
    steps = round(budget * steps)
    times = np.unique(np.geomspace(1, steps, POINTS).astype(int))
    paths = np.empty((len(optimizers), len(times)))
    for path, name in zip(paths, optimizers, strict=True):
        rule, x, every = start(name, beta1, beta2), x0, np.empty(steps)
        for t in range(1, steps + 1):
            step = rule.send(problem.gradient(t, P))
            x = every[t - 1] = np.clip(x - lr / np.sqrt(t) * step, problem.low, problem.high)
        path[:] = every[times - 1]
        run.log(name, x=x)
    run.keep(t=times, x=paths)


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
    run: Run, optimizers: Sequence[str], lrs: Sequence[float], beta1: float, beta2: float, x0: Sequence[float],
    steps: int, budget: float,
) -> None:  # fmt: skip
    """Rosenbrock with every lr of the grid at once; of each optimizer the lr with the smallest mean distance to (1, 1)
    over the run is shown. Keeps t (points,), path (optimizer, points, 2), distance (optimizer, points), lr."""
    _check(optimizers)
    steps = round(budget * steps)
    times = np.unique(np.geomspace(1, steps, POINTS).astype(int))
    keep = set(times.tolist())
    rate = np.array(lrs)[:, None]
    paths, chosen = [], []
    for name in optimizers:
        rule = start(name, beta1, beta2)
        x = np.tile(np.array(x0, float), (len(lrs), 1))
        total, path = np.zeros(len(lrs)), []
        with np.errstate(over="ignore", invalid="ignore"):  # too large an lr may leave the floats: it is not chosen
            for t in range(1, steps + 1):
                x = x - rate * rule.send(rosenbrock_gradient(x))
                total += np.hypot(*(x - 1).T)
                if t in keep:
                    path.append(x)
        best = int(np.argmin(np.where(np.isfinite(total), total, np.inf)))
        paths.append(np.array(path)[:, best])
        chosen.append(lrs[best])
        distance = np.hypot(*(paths[-1] - 1).T)
        run.log(name, lr=lrs[best], distance=distance[-1], loss=rosenbrock(*paths[-1][-1]))
    kept = np.array(paths)
    run.keep(t=times, path=kept, distance=np.hypot(kept[..., 0] - 1, kept[..., 1] - 1), lr=np.array(chosen))


def _check(optimizers: Sequence[str]) -> None:
    require(len(optimizers) > 0, "study.optimizers", optimizers, "at least one name")
    for name in optimizers:
        require_one_of("study.optimizers", name, RULES)
