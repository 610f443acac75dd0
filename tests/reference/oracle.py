"""Independent transcriptions in NumPy float64, one function an algorithm, written from the formulas.

Each takes the starting point, a list of gradients and the hyper-parameters, and returns the point after each step.
Decay is written out once, in `prepared`: `decoupled` is False, True or "fixed".
"""

import numpy as np


def prepared(x, g, lr, weight_decay, decoupled, maximize, decays=True):
    """The decayed point and the gradient that the algorithm sees; `decays`: whether decoupled decay has begun."""
    g = -g if maximize else g
    if decoupled:
        return x * (1 - (1 if decoupled == "fixed" else lr) * weight_decay * decays), g
    return x, g + weight_decay * x


def acprop(
    x, grads, lr, betas, eps, variant="script", amsgrad=False, degenerated_to_sgd=True, skip_first_step=False,
    clip_update=np.inf, weight_decay=0.0, decoupled=False, maximize=False,
):  # fmt: skip
    """`variant` as in semantics: the authors' script, Algorithm 2, mean as numerator, rectified, both."""
    b1, b2 = betas
    m, s, largest, path = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), []
    rho_inf = 2 / (1 - b2) - 1
    for t, g in enumerate(grads, 1):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize)
        m = b1 * m + (1 - b1) * g
        if variant != "paper" and (t > 1 or amsgrad):
            s = s + eps
        largest = np.maximum(largest, s)
        under = largest if amsgrad else s
        m_hat = m / (1 - b1**t)
        if variant == "paper":
            ratio = g / np.sqrt(under + eps)
        elif variant in ("script", "momentum"):
            top = g if variant == "script" else m_hat
            ratio = top if t == 1 else top / (np.sqrt(under / (1 - b2 ** (t - 1))) + eps)
        else:
            rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
            if rho < 5:
                ratio = m_hat if t == 1 or degenerated_to_sgd else np.zeros_like(x)
            else:
                variance = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
                top = g if variant == "rectified" else m_hat
                ratio = top * np.sqrt((1 - b2**t) * variance) / (np.sqrt(s) + eps)
        if not (skip_first_step and t == 1):
            x = x - lr * np.clip(ratio, -clip_update, clip_update)
        s = b2 * s + (1 - b2) * (g - m) ** 2
        path.append(x)
    return path


def adabelief(x, grads, lr, betas, eps, weight_decay=0.0, decoupled=False, maximize=False):
    b1, b2 = betas
    m, s, path = np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(grads, 1):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)
        path.append(x)
    return path


def adashift(
    x, grads, lr, betas, eps, keep_num=10, reduce="max", weight_decay=0.0, decoupled=False, maximize=False
):  # fmt: skip
    """Zhou et al.'s: the bias correction, and with it the steps, begin where the second moment is not zero."""
    b1, b2 = betas
    v, power, seen, path = np.zeros_like(x), np.ones_like(x), [], []
    for t, g in enumerate(grads, 1):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize)
        seen.append(g)
        if t > keep_num:
            old = seen[t - 1 - keep_num] ** 2
            v = b2 * v + (1 - b2) * (old.max() if reduce == "max" else old)
            power = np.where(v > 0, power * b2, 1.0)
            weights = [b1**i for i in range(keep_num)]
            m = sum(w * seen[t - 1 - i] for i, w in enumerate(weights)) / sum(weights)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = m / (np.sqrt(v / (1 - power)) + eps)
            x = x - lr * np.where(v > 0, step, 0.0)
        path.append(x)
    return path


def adashift_script(
    x, grads, lr, betas, eps, keep_num=10, reduce="max", weight_decay=0.0, decoupled=False, maximize=False
):  # fmt: skip
    """The class in the ACProp repository: a queue of gradients, and a mean that is left alone until it is full."""
    b1, b2 = betas
    weight = sum(b1**i for i in range(keep_num))
    queue, m, v, path = [], np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(grads, 1):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize)
        if len(queue) == keep_num:
            old = queue.pop(0)
            m = (m - b1 ** (keep_num - 1) / weight * old) * b1 + g / weight
            square = old * old
            v = v * b2 + (1 - b2) * (square.max() if reduce == "max" else square)
            x = x - lr * m / (np.sqrt(v / (1 - b2 ** (t - keep_num))) + eps)
        queue.append(g)
        path.append(x)
    return path


def adopt(x, grads, lr, betas, eps, clip_power=0.25, weight_decay=0.0, decoupled=False, maximize=False):
    b1, b2 = betas
    m, v, path = np.zeros_like(x), None, []
    for t, g in enumerate(grads):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize, decays=t > 0)
        if t == 0:
            v = g**2
        else:
            ratio = g / np.maximum(np.sqrt(v), eps)
            if clip_power is not None:
                ratio = np.clip(ratio, -(t**clip_power), t**clip_power)
            m = b1 * m + (1 - b1) * ratio
            x = x - lr * m
            v = b2 * v + (1 - b2) * g**2
        path.append(x)
    return path


def avagrad(
    x, grads, lr, betas, eps, variant="script", weight_decay=0.0, decoupled=False, maximize=False
):  # fmt: skip
    """One tensor that is the whole group. `gamma` of the authors' code is made at the end of a step, for the next."""
    b1, b2 = betas
    m, v, gamma, path = np.zeros_like(x), np.zeros_like(x), None, []
    for t, g in enumerate(grads, 1):
        x, g = prepared(x, g, lr, weight_decay, decoupled, maximize, decays=t > 1)
        m = b1 * m + (1 - b1) * g
        root = np.sqrt(v)
        if t > 1:
            eta = 1 / (root / np.sqrt(1 - b2 ** (t - 1)) + eps)
            if variant == "paper":
                gamma = 1 / np.linalg.norm(eta / np.sqrt(eta.size))
            x = x - lr * gamma * m / (1 - b1**t) * eta
        v = b2 * v + (1 - b2) * g**2
        if variant == "script":
            rates = root / np.sqrt(1 - b2**t) + eps
            gamma = 1 / np.sqrt((rates**-2.0).sum() / rates.size)
        path.append(x)
    return path


def laprop(x, grads, lr, betas, eps, variant="script", weight_decay=0.0, decoupled=False, maximize=False):
    """`lr` may be a list, one a step. The authors' code averages lr times normalised gradient, and lr beside it."""
    b1, b2 = betas
    rates = lr if isinstance(lr, list) else [lr] * len(grads)
    m, v, average, path = np.zeros_like(x), np.zeros_like(x), 0.0, []
    for t, (g, rate) in enumerate(zip(grads, rates, strict=True), 1):
        x, g = prepared(x, g, rate, weight_decay, decoupled, maximize)
        v = b2 * v + (1 - b2) * g**2
        normalised = g / (np.sqrt(v / (1 - b2**t)) + eps)
        if variant == "paper":
            m = b1 * m + (1 - b1) * normalised
            x = x - rate * m / (1 - b1**t)
        else:
            average = average * b1 + (1 - b1) * rate
            m = b1 * m + (1 - b1) * rate * normalised
            x = x - m / (average / rate)
        path.append(x)
    return path
