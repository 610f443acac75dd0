"""What the authors' CIFAR-10 script ran, in NumPy float64: the baselines' own formulas, and a setting each.

`RAN` is read off the names of the published curve files and the script's call of each class; the algorithms are those
of the classes it imports: torch's SGD and Adam, RAdam's and AdamW's by Liu, AdaBelief's, AdaShift's and ACProp's own.
"""

import numpy as np

from tests.reference import oracle


def sgd(x, grads, lr, momentum, weight_decay):
    buffer, path = 0.0, []
    for g in grads:
        buffer = momentum * buffer + g + weight_decay * x
        x = x - lr * buffer
        path.append(x)
    return path


def adam(x, grads, lr, betas, eps, weight_decay):
    b1, b2 = betas
    m, v, path = 0.0, 0.0, []
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * x
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        path.append(x)
    return path


def adamw(x, grads, lr, betas, eps, weight_decay):
    """Liu's: eps is added before the bias correction, lr * weight_decay * x taken off first."""
    b1, b2 = betas
    m, v, path = 0.0, 0.0, []
    for t, g in enumerate(grads, 1):
        v = b2 * v + (1 - b2) * g * g
        m = b1 * m + (1 - b1) * g
        x = x - weight_decay * lr * x
        x = x - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        path.append(x)
    return path


def radam(x, grads, lr, betas, eps, weight_decay):
    """Liu's: lr * weight_decay * x taken off before each step; the mean alone while the average is short."""
    b1, b2 = betas
    m, v, path = 0.0, 0.0, []
    longest = 2 / (1 - b2) - 1
    for t, g in enumerate(grads, 1):
        v = b2 * v + (1 - b2) * g * g
        m = b1 * m + (1 - b1) * g
        length = longest - 2 * t * b2**t / (1 - b2**t)
        x = x - weight_decay * lr * x
        if length >= 5:
            variance = (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2)
            x = x - lr * np.sqrt((1 - b2**t) * variance) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        else:
            x = x - lr / (1 - b1**t) * m
        path.append(x)
    return path


ADAPTIVE = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 5e-4}
RAN = {
    "sgd": (sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
    "adam": (adam, ADAPTIVE),
    "radam": (radam, ADAPTIVE),
    "adamw": (adamw, {**ADAPTIVE, "weight_decay": 1e-2}),
    "adashift": (oracle.adashift_script, {**ADAPTIVE, "eps": 1e-4}),
    "adabelief": (oracle.adabelief, ADAPTIVE),
    "acprop": (oracle.acprop, ADAPTIVE),
}
