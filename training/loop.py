"""The training loop of every family: mixed precision and several GPUs through accelerate, resumption, logs."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from runtime.files import atomic_path
from training.checkpoint import save_checkpoint
from training.data import ResumableBatches, errors_of_loaders, steps_per_epoch
from training.errors import DivergenceError
from training.memory import memory_errors
from training.options import LoopOptions
from training.plain_lines import Lines
from training.state import CHECKPOINT_FILE, load_state, save_state
from training.system import System, has_bf16
from training.weight_average import WeightAverage

LOG_FILE = "losses.jsonl"
SAMPLES = "samples"  # folder of pictures


class Trainer:
    """Runs a system to its last step.

    Args:
        system: the family in training.
        options: of the loop.
        folder: run folder; holds the checkpoint, the resumable state, the losses (JSON lines of step, epoch, time in
            seconds since 1970, learning rate and losses), pictures in `samples` from the first epoch's end on, and
            TensorBoard's files. A folder that holds a state is resumed.
    """

    def __init__(self, system: System, options: LoopOptions, folder: Path) -> None:
        self.system, self.options, self.folder = system, options, folder
        # InstanceNorm has no buffers to synchronise, and frozen stages leave parameters out.
        kwargs = DistributedDataParallelKwargs(broadcast_buffers=False)
        cpu = not torch.accelerator.is_available()  # said aloud: several processes on CPUs are found in no other way
        precision = options.precision
        if precision == "auto":
            precision = "bf16" if has_bf16() else "no"
        self.accelerator = Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[kwargs])
        together = options.batch_size * self.accelerator.num_processes
        self.per_epoch = steps_per_epoch(len(system.dataset), together)  # type: ignore[arg-type]
        self.total_steps = (options.epochs + options.decay_epochs) * self.per_epoch
        self.optimizers: dict[str, Any] = {}
        self.modules: dict[str, nn.Module] = {}
        for role, module in system.roles.items():
            groups = _parameter_groups(role, module, options)
            optimizer = torch.optim.Adam(groups, lr=options.lr, betas=(options.beta1, options.beta2))
            self.modules[role], self.optimizers[role] = self.accelerator.prepare(module, optimizer)
        self.average = WeightAverage(system.roles["generator"], options.ema)
        self.step = self._resume()

    def run(self) -> None:
        """Train to the end, then let the system finish its checkpoint (style bank).

        Raises:
            DivergenceError: losses or weights are no longer finite; what was saved last is kept.
            OutputError: the run folder cannot be written, or the disk is full.
            MemoryError: of the device or the machine.
        """
        with memory_errors("Train with a smaller --batch-size or --crop"), errors_of_loaders():
            self._run()

    def _run(self) -> None:
        start = self.step
        self._keep_logs_until(start)
        # What was logged at step `start` was saved with it: what is dropped begins one later.
        writer = SummaryWriter(self.folder, purge_step=start + 1) if self.accelerator.is_main_process else None
        lines = Lines(self.accelerator.is_main_process)
        with _progress(self.accelerator.is_main_process) as progress:
            bar = progress.add_task("training", total=self.total_steps, completed=start, speed=0.0, losses="")
            for batch in self._batches(range(start, self.total_steps)):
                losses = self._train_step(batch)
                self.step += 1
                speed = (progress.tasks[bar].speed or 0.0) * self.options.batch_size * self.accelerator.num_processes
                progress.update(bar, advance=1, speed=speed)
                if self.step % self.options.log_every == 0:
                    values = self._log(losses, writer)
                    progress.update(bar, losses=" ".join(f"{name} {value:.3f}" for name, value in values.items()))
                    lines.tell(progress.tasks[bar], self._epoch)
                if writer and (self.step % self.options.sample_every == 0 or self.step == self.per_epoch):
                    self._keep_sample(batch, writer)
                if self.step % self.options.save_every == 0 or self.step == self.total_steps:
                    self._require_finite(losses)
                    self._save()
            if self.accelerator.is_main_process:
                self._finish(progress)
        self.accelerator.wait_for_everyone()
        if writer:
            writer.close()

    def _batches(self, steps: range) -> DataLoader[dict[str, Tensor]]:
        a, o = self.accelerator, self.options
        length = len(self.system.dataset)  # type: ignore[arg-type]
        order = ResumableBatches(length, o.batch_size, o.seed, steps, a.process_index, a.num_processes)
        workers = min(o.workers, len(steps))
        return DataLoader(
            self.system.dataset,
            batch_sampler=order,
            num_workers=workers,
            pin_memory=a.device.type == "cuda",
        )

    def _train_step(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # A function of the step and the process alone: a resumed run draws what an uninterrupted one would, and no two
        # processes draw the same noise and dropout.
        words = np.random.SeedSequence([self.options.seed, self.step, self.accelerator.process_index])
        torch.manual_seed(int(words.generate_state(1, np.uint64)[0]))
        lr = self.options.lr_at(self.step, self.per_epoch)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("lr_scale", 1.0)  # states of earlier versions have none
        on_device = {key: value.to(self.accelerator.device, non_blocking=True) for key, value in batch.items()}
        with self.accelerator.autocast():
            losses = self.system.step(on_device, self.modules, self._update)
        self.average.update()
        return losses

    def _update(self, role: str, loss: Tensor) -> None:
        optimizer = self.optimizers[role]
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        optimizer.step()

    def _log(self, losses: Mapping[str, Tensor], writer: SummaryWriter | None) -> dict[str, float]:
        values = self._require_finite(losses)
        if writer:
            for name, value in values.items():
                writer.add_scalar(name, value, self.step)
            with (self.folder / LOG_FILE).open("a") as stream:
                lr = self.options.lr_at(self.step - 1, self.per_epoch)
                row = {"step": self.step, "epoch": self._epoch, "time": time.time(), "lr": lr}
                stream.write(json.dumps(row | values) + "\n")
        return values

    def _require_finite(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """The losses as numbers.

        Raises:
            DivergenceError: one is no number any more.
        """
        values = {name: float(loss) for name, loss in losses.items()}
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            raise self._divergence(", ".join(wrong))
        return values

    def _divergence(self, what: str) -> DivergenceError:
        kept = "the last checkpoint is kept" if (self.folder / CHECKPOINT_FILE).is_file() else "nothing was saved yet"
        return DivergenceError(
            f"step {self.step}: {what} is no longer finite; {kept}. Train with a lower --lr, or --precision bf16 "
            "instead of fp16"
        )

    @property
    def _epoch(self) -> int:
        """Of the step that was taken last, from 1 on."""
        return -(-self.step // self.per_epoch)

    def _keep_sample(self, batch: Mapping[str, Tensor], writer: SummaryWriter) -> None:
        device = self.accelerator.device
        with self.average.applied():
            picture = self.system.sample({key: value.to(device) for key, value in batch.items()})
        writer.add_image("input, synthesised, real", picture, self.step, dataformats="HWC")
        with atomic_path(self.folder / SAMPLES / f"{self.step:07d}.png") as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        for role, module in self.system.roles.items():  # the step after finite losses may have spoilt them
            for name, value in module.state_dict().items():
                if not torch.isfinite(value).all():
                    raise self._divergence(f"{role}.{name}")
        scaler = self.accelerator.scaler
        rest = {
            "optimizers": {role: optimizer.state_dict() for role, optimizer in self.optimizers.items()},
            "scaler": scaler.state_dict() if scaler else None,
            "average": self.average.state_dict(),
        }
        save_state(self.folder, self.step, self.system.roles, rest)
        with self.average.applied():
            save_checkpoint(self.system.checkpoint(self.step), self.folder / CHECKPOINT_FILE)

    def _resume(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.accelerator.is_main_process:
            for leftover in self.folder.glob(".*.partial*"):  # of a run that was killed while it wrote
                leftover.unlink(missing_ok=True)
        state = load_state(self.folder)
        if state is None:
            return 0
        for role, module in self.system.roles.items():
            module.load_state_dict(state["roles"][role])
            self.optimizers[role].load_state_dict(state["optimizers"][role])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.average.load_state_dict(state.get("average", {}))  # states of earlier versions have none
        return int(state["step"])

    def _keep_logs_until(self, step: int) -> None:
        """Drop what a killed run logged after its last save: those steps are about to run again."""
        path = self.folder / LOG_FILE
        if not (self.accelerator.is_main_process and path.is_file()):
            return
        kept = []
        for line in path.read_text().splitlines():
            with suppress(ValueError, KeyError):
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        with atomic_path(path) as temporary:
            temporary.write_text("".join(kept))

    def _finish(self, progress: Progress) -> None:
        bar = progress.add_task("finishing", total=1.0, speed=0.0, losses="")
        with self.average.applied():
            checkpoint = self.system.checkpoint(self.step)
            checkpoint = self.system.finish(checkpoint, lambda done: progress.update(bar, completed=done))
            save_checkpoint(checkpoint, self.folder / CHECKPOINT_FILE)
        progress.update(bar, completed=1.0)


def _parameter_groups(role: str, module: nn.Module, options: LoopOptions) -> list[dict[str, Any]]:
    """What Adam trains, by the factor on the learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(options.lr_scale(f"{role}.{name}"), []).append(parameter)
    return [{"params": parameters, "lr_scale": scale} for scale, parameters in groups.items()]


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]:.2f} images/s  {task.fields[losses]}"),
        disable=not shown,
    )
