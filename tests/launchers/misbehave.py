"""Schedules that take their run down with them while $ACPROP_MISBEHAVE is set, each in its way."""

import os
import signal

from experiments.images.schedules import step


def killed(*arguments, **settings):
    if os.environ.get("ACPROP_MISBEHAVE"):
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does to a process that takes too much memory
    return step(*arguments, **settings)


def raises(*arguments, **settings):
    if os.environ.get("ACPROP_MISBEHAVE"):
        raise RuntimeError("a bug")
    return step(*arguments, **settings)
