"""Schedules that take their run down at its first step while $ACPROP_MISBEHAVE is set, each in its way.

At the first step and not before: the check of the settings makes a schedule too, ahead of any record.
"""

import os
import signal

from experiments.images.schedules import step


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does to a process that takes too much memory


def hit_a_bug(*_):
    raise RuntimeError("a bug")


def killed(optimizer, **settings):
    if os.environ.get("ACPROP_MISBEHAVE"):
        optimizer.register_step_pre_hook(die)
    return step(optimizer, **settings)


def raises(optimizer, **settings):
    if os.environ.get("ACPROP_MISBEHAVE"):
        optimizer.register_step_pre_hook(hit_a_bug)
    return step(optimizer, **settings)
