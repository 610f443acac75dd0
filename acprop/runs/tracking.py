"""wandb, the mirror of the record. It never decides whether a run succeeds: what it cannot send stays in the record."""

import logging
import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from acprop.runs.errors import require_one_of

MODES = ("auto", "online", "offline", "disabled")
log = logging.getLogger(__name__)


def logged_in() -> bool:
    """True if wandb would find a key: in `WANDB_API_KEY`, or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def choose_mode(mode: str) -> Any:
    """`auto` is what `WANDB_MODE` says, else online for who is logged in, else offline."""
    require_one_of("tracking.mode", mode, MODES)
    if mode != "auto":
        return mode
    return os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")


class Tracker:
    """One wandb run. Its id is the run's identity, so a resumed run goes on in the same wandb run."""

    def __init__(
        self, settings: dict[str, Any], folder: Path, run_id: str, resume: bool, config: dict[str, Any]
    ) -> None:
        self.run: Any = None
        mode = choose_mode(settings["mode"])
        if mode == "disabled":
            return
        import wandb

        names = config["names"]
        self.errors: tuple[type[Exception], ...] = (wandb.Error, OSError)
        try:
            self.run = wandb.init(
                project=settings["project"],
                entity=settings["entity"],
                mode=mode,
                id=run_id,
                name=f"{names['optimizer']} seed={config['seed']}",
                group=f"{config['task']}/{names['dataset']}-{names['model']}",
                tags=[config["task"], names["dataset"], names["model"], names["optimizer"], config["scale"]["name"]],
                dir=folder,
                resume="allow" if resume else None,
                config=config,
                # git remotes may carry tokens; the record holds the commit
                settings=wandb.Settings(silent=True, console="off", disable_git=True),
            )
        except self.errors as error:
            log.warning("wandb does not start (%s); the run goes on, its record is complete without it", error)

    def log(self, values: dict[str, Any], step: int) -> None:
        self._send("log", values, step=step)

    def log_image(self, name: str, path: Path, step: int) -> None:
        if self.run is not None:
            import wandb

            self.log({name: wandb.Image(str(path))}, step)

    def summarize(self, values: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.summary.update(values)

    def finish(self, exit_code: int) -> None:
        self._send("finish", exit_code=exit_code)

    def _send(self, method: str, *arguments: Any, **keywords: Any) -> None:
        if self.run is None:
            return
        try:
            getattr(self.run, method)(*arguments, **keywords)
        except self.errors as error:
            log.warning("wandb stops (%s); the run goes on, its record is complete without it", error)
            self.run = None
