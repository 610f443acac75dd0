"""One run: folder, record, tracking, seeds, device, checkpoint, resume. The harness in one picture:

with Run.open(cfg, select=("test/top1", "max")) as run:
    if run.finished:
        return
    model, optimizer = ...
    run.register(model=model, optimizer=optimizer)      # restores them if the run was interrupted
    for epoch in run.epochs(cfg.epochs):                # goes on where it stopped
        for x, y in run.batches(loader(epoch, start=run.batch)):
            ...
        run.log("test", top1=...)
"""

import contextlib
import io
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import yaml
from omegaconf import DictConfig

from acprop.runs import checkpoint, distributed, environment
from acprop.runs.conf import require_tuned
from acprop.runs.errors import Diverged, UsageError
from acprop.runs.folder import RunFolder, lock_of, read_summary
from acprop.runs.identity import Config, config_hash, resolved, run_dir, runs_root, scale_label
from acprop.runs.record import FINISHED, SCHEMA, MetricsFile, finite_or_none, write_atomically, write_json
from acprop.runs.stopping import GRACE_S, Interrupted, Watch
from acprop.runs.telemetry import Telemetry
from acprop.runs.tracking import Tracker

T = TypeVar("T")


class Run:
    """A context manager that turns a config into one record.

    Leaving it normally makes the run `done`. A `Diverged` makes it `diverged` and goes no further: it is a result.
    SIGINT, SIGTERM and SIGHUP make it `interrupted`, any other exception `failed`. After a `UsageError` nothing is left
    that was not there before, and under `force` a finished record stays until the new one is whole.

    Attributes:
        finished: the run had ended before and there is nothing to do.
        dir: its folder.
        device: where to compute.
        epoch, batch, step: position of the next batch: epoch, batch within it, optimizer steps so far.
        lr: the rate that the record's lines get where no optimizer is registered.
        leader: whether this process keeps the record: rank 0, where several train together.
    """

    def __init__(
        self, config: Config, select: tuple[str, Literal["max", "min"]] | None, several_ranks: bool = False
    ) -> None:
        distributed.join() if several_ranks else distributed.refuse(config["task"])
        self.leader = distributed.rank() == 0
        self.config = config
        self.select = select
        self.dir = run_dir(config)
        self.device = environment.pick_device(config["device"])
        self.precision = config.get("precision", "fp32")
        environment.require_precision(self.precision, self.device)
        self.epoch = self.batch = self.step = self.samples = 0
        self.lr: float | None = None
        self.finished = False
        self.values: dict[str, float] = {}
        self.best: dict[str, Any] = {}
        self._registered: dict[str, Any] | None = None
        self._tracker: Tracker | None = None
        self._folder: RunFolder | None = None
        self._saving = threading.Lock()
        self._metrics_bytes = 0
        self._wall_before = 0.0

    @classmethod
    def open(
        cls, cfg: DictConfig, select: tuple[str, Literal["max", "min"]] | None = None, several_ranks: bool = False
    ) -> "Run":
        """A run for a composed config.

        Args:
            cfg: holds at least task, names.{dataset,model,optimizer}, seed, force, device, threads,
                checkpoint_every_s, tracking and scale; everything else is the experiment.
            select: `("split/metric", "max" | "min")`, the rule that picks the `best` epoch of the record.
            several_ranks: the caller's loop works in several processes under torchrun: all of them log the same
                values, and rank 0 writes them down.
        """
        config = resolved(cfg)
        config.pop("hydra", None)
        require_tuned(config)
        return cls(config, select, several_ranks)

    # -- life ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Run":
        self._previous, self._saved, path = distributed.from_leader(self._take_folder)
        if self._previous and self._previous["status"] in FINISHED:
            self.finished = True
            self.summary = self._previous
            if self.leader:
                print(f"{self.summary['status']} already: {self.dir} (force=true runs it again)")
            return self

        self.dir = path
        if self._saved:
            for name in ("epoch", "batch", "step", "values", "best"):
                setattr(self, name, self._saved[name])
            self._metrics_bytes = self._saved["metrics_bytes"]
            self._wall_before = self._saved["wall_s"]
        self._resumed = self._saved is not None
        # Said each time, not left to the environment: a launcher's worker must compute the same bits as this process.
        torch.set_num_threads(self.config["threads"] or environment.cores_of_this_process())
        environment.set_arithmetic(self.device, self.precision, self.config.get("deterministic", False))
        environment.seed_everything(self.config["seed"])
        self._metrics: MetricsFile | None = None
        self._started = self._last_save = time.monotonic()
        self._start_step = self.step
        self.summary = {
            "schema": SCHEMA,
            "status": "running",
            **{name: self.config["names"][name] for name in ("dataset", "model", "optimizer")},
            "task": self.config["task"],
            "seed": self.config["seed"],
            "scale": scale_label(self.config),
            "hash": config_hash(self.config),
            "selection": f"{self.select[1]} of {self.select[0]} over epochs" if self.select else None,
            "attempts": (self._previous or {}).get("attempts", 0) + 1,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **environment.describe(self.device, self.precision),
            "processes": distributed.world_size(),
        }
        self._watch = Watch(self._give_up)
        self._watch.__enter__()
        try:
            if self.leader:
                write_atomically(self.dir / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))
            self._write_summary("running")
        except BaseException:
            self._watch.__exit__()
            self._release()
            raise
        return self

    def _take_folder(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None, Path]:
        """(what run.json said, the checkpoint), each if there is one, and the folder, this process's own from here on
        unless the run has finished."""
        if not self.config["force"] and not lock_of(self.dir).exists():  # a kill leaves its lock, and more to clear up
            previous = read_summary(self.dir)
            if previous and previous["status"] in FINISHED:
                return previous, None, self.dir
        folder = RunFolder(self.dir, again=self.config["force"])
        try:
            previous, state = folder.previous, folder.path / "checkpoint.pt"
            finished = previous is not None and previous["status"] in FINISHED  # by another process, in this moment
            saved = checkpoint.load(state) if state.exists() and not finished else None
        except BaseException:
            folder.release()
            raise
        if finished:
            folder.release()
        else:
            self._folder = folder
        return previous, saved, folder.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if self.finished:
            return False
        try:
            self._close(error)
        finally:
            self._watch.__exit__()
            self._release()
        if self.leader and self.summary["status"] in FINISHED:
            print(self.result_line())
        if self._watch.received and not isinstance(error, KeyboardInterrupt | SystemExit):
            # It came when no step was left to end, or a library swallowed what it raised: to what is around this run.
            signal.raise_signal(self._watch.received)
        return isinstance(error, Diverged)

    def _close(self, error: BaseException | None) -> None:
        """Brings the record to its end."""
        if isinstance(error, UsageError):
            if self._tracker:
                self._tracker.finish({}, exit_code=1, hurry=True)
            if self._folder:
                self._folder.leave_no_trace()
            return
        if error is None:
            self._save()
        if self._metrics:
            self._metrics.close()
        if error is None:
            self._write_summary("done")
        elif isinstance(error, Diverged):
            self._write_summary("diverged", error=str(error))
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            self._write_summary("interrupted")
        else:
            cause = "another process of the group is gone; " if distributed.lost(error) else ""
            with contextlib.suppress(OSError):  # a full disk is what it failed of, perhaps
                self._write_summary("failed", error=f"{cause}{type(error).__name__}: {error}")
        if self._tracker:
            finished = self.summary["status"] in FINISHED
            self._tracker.finish(
                {"status": self.summary["status"], **self.summary["final"]},
                exit_code=0 if finished else 1, hurry=isinstance(error, SystemExit),
            )  # fmt: skip
        if self._folder:
            self._folder.settle(finished=self.summary["status"] in FINISHED)
            self.dir = self._folder.path

    def _release(self) -> None:
        if self._folder:
            self._folder.release()

    def result_line(self) -> str:
        names = self.config["names"]
        shown = [
            f"{key} {value:.4g}" for key, value in self.values.items() if math.isfinite(value) and key[:6] != "update"
        ]
        values = ", ".join(shown if len(shown) <= 8 else [*shown[:8], f"and {len(shown) - 8} more"])
        best = ""
        if self.best and self.select:
            best = f"; best {self.select[0]} {self.best['value']:.4g} at step {self.best['step']}"
        head = f"{names['dataset']} {names['model']} {names['optimizer']} seed={self.config['seed']}"
        return f"{head}: {self.summary['status']}: {values}{best} -> {self.dir}"

    # -- the loop ------------------------------------------------------------------------------------------------

    def register(self, **objects: Any) -> None:
        """Names what a checkpoint holds: objects with `state_dict`, the same on every rank, or tensors that are changed
        in place, of which each rank has its part of a sum. If the run was interrupted they get their state back, and
        the generators theirs, so call it once, last before the loop. With no objects, the position alone is kept: for a
        loop whose state another process holds. A signal then ends the run at once, at the last position saved."""
        self._registered = objects
        self._watch.patient = bool(objects)
        if every := self.config.get("telemetry"):
            for name, item in objects.items():
                if isinstance(item, torch.optim.Optimizer):
                    Telemetry(self, "update" if name == "optimizer" else f"update_{name}", item, every)
        if self._saved is None:
            if not self.leader:  # drawn alike so far, for the same initial weights; each rank has its own from here on
                environment.seed_everything(self._seed_of_rank())
            return
        for name, item in objects.items():
            state = self._saved["objects"][name]
            if not isinstance(item, torch.Tensor):
                item.load_state_dict(state)
            else:
                item.copy_(state) if self.leader else item.zero_()
        generators = self._saved["rng"]
        if distributed.rank() < len(generators):
            checkpoint.set_rng_state(generators[distributed.rank()])
        else:  # there were fewer ranks before
            environment.seed_everything(self._seed_of_rank())
        self._saved = None

    def _seed_of_rank(self) -> int:
        return self.config["seed"] + 1_000_003 * distributed.rank() + 7_919 * self.step

    def describe(self, **facts: Any) -> None:
        """Adds facts about data and model to run.json."""
        self.summary.update(facts)

    def epochs(self, count: int) -> Iterator[int]:
        """Epoch numbers from where the run stands to `count`."""
        for epoch in range(self.epoch, count):
            yield epoch
            self.epoch, self.batch = epoch + 1, 0
            self._pause_point()

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """What is left of this epoch, one optimizer step each; between two of them the run can be saved or stopped."""
        for item in loader:
            yield item
            self.batch += 1
            self.step += 1
            self._pause_point()

    def advance(self, step: int) -> None:
        """Says that the run stands at `step`, and lets it be saved or stopped there: for a loop that a library owns."""
        self.step = step
        self._pause_point()

    def log(self, split: str, **metrics: float) -> None:
        """Records one value per metric, at the present step and epoch (counted from 1), and mirrors them to wandb."""
        epoch = self.epoch + 1
        rate = self._learning_rate()
        if self._metrics is None and self.leader:
            self._start_logging()
        for name, value in metrics.items():
            value = float(value)
            key = f"{split}/{name}"
            self.values[key] = value
            if self._metrics:
                self._metrics.append(
                    value, step=self.step, epoch=epoch, split=split, metric=name, lr=rate,
                    wall_s=round(self.wall_s(), 3),
                )  # fmt: skip
            if self.select and key == self.select[0] and math.isfinite(value):
                sign = 1 if self.select[1] == "max" else -1
                if not self.best or sign * value > sign * self.best["value"]:
                    self.best = {"value": value, "epoch": epoch, "step": self.step}
        if not self._metrics:
            return
        self._metrics.flush()
        assert self._tracker
        self._tracker.log({**{f"{split}/{k}": v for k, v in metrics.items()}, "epoch": epoch, "lr": rate}, self.step)

    def keep(self, **arrays: np.ndarray) -> None:
        """Puts whole arrays beside the metrics, as arrays.npz; `Record.arrays` reads them."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_atomically(self.dir / "arrays.npz", buffer.getvalue())

    def log_image(self, name: str, image: torch.Tensor) -> None:
        """Keeps a picture, uint8 (1 or 3, H, W), as samples/<name>-<step>.png beside the record, and mirrors it to
        wandb. Call it after `log` of the same step."""
        from torchvision.transforms.functional import to_pil_image

        path = self.dir / "samples" / f"{name}-{self.step:07d}.png"
        file = io.BytesIO()
        to_pil_image(image.cpu()).save(file, "png")
        write_atomically(path, file.getvalue())
        assert self._tracker
        self._tracker.log_image(name, path, self.step)

    def require_finite(self, name: str, value: float) -> None:
        """Ends the run as `diverged` unless `value` is finite."""
        if not math.isfinite(value):
            raise Diverged(f"{name} is {float(value)} at epoch {self.epoch + 1}, step {self.step}")

    def wall_s(self) -> float:
        """Seconds at work, earlier attempts included as far as their checkpoint."""
        return self._wall_before + time.monotonic() - self._started

    # -- the record ----------------------------------------------------------------------------------------------

    def _write_summary(self, status: str, error: str | None = None) -> None:
        at_work = time.monotonic() - self._started
        self.summary.update(
            status=status,
            error=error,
            final={key: finite_or_none(value) for key, value in self.values.items()},
            best=self.best,
            epochs=self.epoch,
            steps=self.step,
            wall_s=round(self.wall_s(), 3),
            samples_per_s=round(self.samples / at_work, 2) if at_work and self.samples else None,
            peak_memory_mib=environment.peak_memory_mib(self.device),
        )
        if self.leader:
            write_json(self.dir / "run.json", self.summary)

    def _start_logging(self) -> None:
        # Only now: a run that stops at bad input has then left nothing with wandb either.
        self._metrics = MetricsFile(self.dir / "metrics.jsonl", self._metrics_bytes)
        run_id = "-".join(run_dir(self.config).relative_to(runs_root()).parts).replace("=", "")
        self._tracker = Tracker(self.config["tracking"], self.dir, run_id, self._resumed, self.config)

    def _learning_rate(self) -> float | None:
        optimizer = (self._registered or {}).get("optimizer")
        return float(optimizer.param_groups[0]["lr"]) if optimizer is not None else self.lr

    # -- stopping and saving -------------------------------------------------------------------------------------

    def _give_up(self, number: int) -> None:
        """Ends the process where it is, from another thread, with what was saved last."""
        with self._saving:  # a checkpoint that is being written is worth waiting for
            if self.leader and self.summary["status"] == "running":
                name = signal.Signals(number).name
                lost = ": a process is lost" if distributed.world_size() > 1 else ""
                error = f"{name}, and no step ended in {GRACE_S} s{lost}"
                self._write_summary("interrupted", error=error)
                print(f"{self.dir}: interrupted by {error}; it goes on from its last checkpoint", file=sys.stderr)
            sys.stderr.flush()
            os._exit(128 + number)

    def _pause_point(self) -> None:
        due = self.leader and time.monotonic() - self._last_save >= self.config["checkpoint_every_s"]
        number = self._watch.received or 0
        due, stop = distributed.any_rank(due, bool(number))
        if due or stop:
            self._save()
        if stop:
            raise Interrupted(128 + (number or signal.SIGTERM))

    def _save(self) -> None:
        if self._registered is None:
            return
        generators = distributed.gather(checkpoint.rng_state())
        sums = {
            name: distributed.add_up(item.clone())
            for name, item in self._registered.items()
            if isinstance(item, torch.Tensor)
        }
        self._last_save = time.monotonic()
        if not self.leader:
            return
        objects = {name: sums[name] if name in sums else item.state_dict() for name, item in self._registered.items()}
        state = {
            "objects": objects,
            "rng": generators,
            **{name: getattr(self, name) for name in ("epoch", "batch", "step", "values", "best")},
            "metrics_bytes": self._metrics.flush() if self._metrics else self._metrics_bytes,
            "wall_s": self.wall_s(),
        }
        with self._saving:
            checkpoint.save(self.dir / "checkpoint.pt", state)
