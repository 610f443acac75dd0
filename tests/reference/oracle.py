"""Independent transcriptions in NumPy float64, one function an algorithm, written from the formulas.

Each takes the starting point, a list of gradients (or None where a step has none) and the hyper-parameters, and
returns the point after each step.
"""

import numpy as np


def acprop(x, grads, lr, betas, eps, weight_decay=0.0):
    b1, b2 = betas
    m, s, path = np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * x
        if t == 1:
            x = x - lr * g
        else:
            s = s + eps
            x = x - lr * g / (np.sqrt(s / (1 - b2 ** (t - 1))) + eps)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2
        path.append(x)
    return path


def adabelief(x, grads, lr, betas, eps, weight_decay=0.0):
    b1, b2 = betas
    m, s, path = np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * x
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)
        path.append(x)
    return path


def adashift(x, grads, lr, betas, eps, weight_decay=0.0, keep_num=10, reduce="max"):
    b1, b2 = betas
    v, seen, path = np.zeros_like(x), [], []
    for t, g in enumerate(grads, 1):
        seen.append(g + weight_decay * x)
        if t > keep_num:
            old = seen[t - 1 - keep_num] ** 2
            v = b2 * v + (1 - b2) * (old.max() if reduce == "max" else old)
            weights = [b1**i for i in range(keep_num)]
            m = sum(w * seen[t - 1 - i] for i, w in enumerate(weights)) / sum(weights)
            x = x - lr * m / (np.sqrt(v / (1 - b2 ** (t - keep_num))) + eps)
        path.append(x)
    return path
