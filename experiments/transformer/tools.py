"""fairseq's command-line tools, run one after another in this process: it takes as long to load as a short training.

child.py starts it and writes a line of JSON for each, [tool, *options], to its stdin. It ends when stdin does, and that
does when the runner ends: however it ended, SIGKILL included.
"""

import io
import json
import os
import runpy
import sys
import threading
from queue import SimpleQueue

ENDED = "acprop | ended\n"  # a tool did, and well


def _listen(commands: SimpleQueue[list[str]]) -> None:
    stdin = io.FileIO(0, closefd=False)  # unbuffered: a lock held here would be fatal when Python shuts down
    while line := stdin.readline():
        commands.put(json.loads(line))
    os._exit(1)


if __name__ == "__main__":
    waiting: SimpleQueue[list[str]] = SimpleQueue()
    threading.Thread(target=_listen, args=(waiting,), daemon=True).start()
    while True:
        tool, *sys.argv[1:] = waiting.get()
        runpy.run_module(f"fairseq_cli.{tool}", run_name="__main__")
        print(ENDED, end="", flush=True)
