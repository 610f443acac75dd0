"""The process that speaks with wandb in a run's place, so that nothing of wandb can stop, slow or fail the run.

    python -P mirror.py

It reads messages, a JSON object a line, and answers in the same way; see tracking.py for the other end. When its input
ends without "finish", the run was lost: wandb is told so, and this process ends within seconds, whatever wandb does.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

CONNECT_S = 20  # wandb's patience with a network; then the run is mirrored offline
LAST_WORDS_S = 5
TAG = 64  # characters that wandb allows


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what wandb prints is no answer
    run: Any = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if "start" in message:
                run = start(partial(answer, answers), **message["start"])
            elif run is not None:
                handle(run, message)
            if "finish" in message:
                run = None
                answer(answers, finished=True)
        except BaseException as error:  # wandb ends what it cannot do with SystemExit, too
            run = None
            answer(answers, fault=told(error))
    timer = threading.Timer(LAST_WORDS_S, lambda: os.killpg(os.getpgid(0), signal.SIGKILL))
    timer.daemon = True
    timer.start()
    if run is not None:
        run.finish(exit_code=1)
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def told(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}"


def answer(file: Any, **message: Any) -> None:
    print(json.dumps(message), file=file)


def start(tell: Callable[..., None], mode: str, tags: list[str], **arguments: Any) -> Any:
    """wandb's run, or None where the user wants none. `tell` gets the phases that are reached, and faults."""
    import wandb

    # git remotes may carry tokens; the record holds the commit
    settings = wandb.Settings(silent=True, console="off", disable_git=True, init_timeout=CONNECT_S)
    arguments |= {"settings": settings, "tags": [tag[:TAG] for tag in tags]}
    try:
        if mode == "auto":
            tell(phase="connecting")  # to ask whether there is a key can mean to ask the network
            mode = choose_mode(mode)
        if mode == "disabled":
            return None
        tell(phase="connecting" if mode == "online" else "starting")
        run = wandb.init(mode=mode, **arguments)  # type: ignore[arg-type]
    except wandb.errors.CommError as error:
        tell(phase="starting", fault=f"offline, since {told(error)}")
        run = wandb.init(mode="offline", **arguments)
    tell(phase="at work")
    return run


def choose_mode(mode: str) -> str:
    """`auto` is what `WANDB_MODE` says, else online for who is logged in, else offline."""
    if mode != "auto":
        return mode
    return os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")


def logged_in() -> bool:
    """Whether wandb finds a key, wherever it keeps one; nobody is asked."""
    import wandb

    try:
        return bool(wandb.login(verify=False, prompt=False))
    except wandb.errors.AuthenticationError:  # a key, whatever it is worth
        return True


def handle(run: Any, message: dict[str, Any]) -> None:
    if "log" in message:
        run.log(message["log"], step=message["step"])
    elif "image" in message:
        import wandb

        run.log({message["image"]: wandb.Image(message["path"])}, step=message["step"])
    elif "finish" in message:
        run.summary.update(message["summary"])
        run.finish(exit_code=message["finish"])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides
    main()
