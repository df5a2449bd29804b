"""A SpeechBrain ``Brain`` whose runs repeat and resume exactly, on one process or many.

A step's batches are a pure function of (seed, step) and its loss is divided by what all of them hold, so
processes × accumulated batches is all that counts: two processes compute what one does with twice as many.
The state of a run is its weights, its optimizer and one number; ``kill -9`` costs the steps since the last
checkpoint and changes nothing else.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

from asr_pretrain import torchaudio_standin
from asr_pretrain.training.feed import Batches, Failure, Loader, MicroBatch
from asr_pretrain.training.history import History
from asr_pretrain.training.norm import convert, freeze_statistics
from asr_pretrain.training.processes import TrainingStopped, asked_to_stop
from asr_pretrain.training.run import Run
from asr_pretrain.training.state import State, named, optimizer_tensors, write_state
from asr_pretrain.training.throughput import Step, Throughput, describe, write_figures

torchaudio_standin.install()
import speechbrain as sb  # noqa: E402  (after the stand-in: it imports torchaudio)


class BatchError(ValueError):
    """A batch could not be made, on this rank or another; the text names the rank and the cause."""


class ResumableBrain(sb.Brain):
    """Trains ``modules["model"]``, and whatever stands beside it, for ``steps`` steps.

    Subclasses give ``compute_forward``; ``targets``, how many of those a batch holds that the loss is a mean
    over; and ``compute_objectives``, the batch's share of the step's loss: its sum over ``total_targets``.
    """

    def __init__(self, modules: dict[str, nn.Module], run: Run, steps: int):
        self.run, self.processes, self.config, self.steps = run, run.processes, run.recipe.optimisation, steps
        trained = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
        run_options = {
            "device": self.processes.device,
            "precision": self.config.precision,
            "max_grad_norm": self.config.max_grad_norm,
            "distributed_backend": "gloo" if self.processes.device == "cpu" else "nccl",
        }
        super().__init__(
            modules=modules,
            opt_class=lambda _: torch.optim.AdamW(trained, lr=0.0, weight_decay=self.config.weight_decay),
            hparams={},  # under DDP a Brain without hparams fails (speechbrain 1.1)
            run_opts=run_options,
        )
        # As they were given: `self.modules` holds their DDP wrappers.
        self.trained, self.model = dict(modules), modules["model"]
        self.history = History(run.folder, self.learning_rate)
        self.throughput = Throughput(self.config.log_every_s, self.processes.world)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.done_steps = 0
        self._stops, self._asked_to_stop = False, Event()
        self.total_targets = self.total_frames = 1.0
        """Of all batches of the step, over all processes."""
        self._loader: Loader | None = None
        self._clock = (time.monotonic(), 0.0)

    def targets(self, batch: MicroBatch) -> float:
        """What the loss is a mean over: how many of them ``batch`` holds."""
        raise NotImplementedError

    def audio_s(self, batch: MicroBatch) -> float:
        """Seconds of audio, for the log."""
        features = batch["features"]
        return float(batch.get("seconds", features.shape[0] * features.shape[1] / 100))

    def training_mode(self) -> None:
        """Called before each step, when SpeechBrain has put everything in training mode."""
        if self.config.batch_statistics == "frozen":
            freeze_statistics(self.model)

    def _wrap_distributed(self) -> None:
        """DDP with our batch norm, for torch's SyncBatchNorm refuses CPU."""
        if self.processes.world == 1:
            return
        devices = None if self.device_type == "cpu" else [self.device]
        for name, module in self.modules.items():
            if any(p.requires_grad for p in module.parameters()):
                self.modules[name] = nn.parallel.DistributedDataParallel(convert(module), devices)

    def learning_rate(self, step: int) -> float:
        return self.config.rate(step, self.steps)

    # -- one step ------------------------------------------------------------------------------------

    def fit_batch(self, batch: Any) -> Tensor:
        """One step: the losses of all batches of all processes, divided by what these hold together."""
        micro_batches, for_others_s = self._agree(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.done_steps)
        # Whatever layers draw, such as dropout, repeats after a resume and differs from rank to rank.
        torch.manual_seed((self.config.seed * 2**30 + self.done_steps * 2**10 + self.processes.rank) % 2**63)
        self.training_mode()
        loss = torch.zeros((), device=self.device)
        for index, micro_batch in enumerate(micro_batches):
            with self.no_sync(index + 1 < len(micro_batches)):
                with self.training_ctx:
                    outputs = self.compute_forward(micro_batch, sb.Stage.TRAIN)
                    share = self.compute_objectives(outputs, micro_batch, sb.Stage.TRAIN)
                # DDP averages over the processes, and the sum is wanted.
                self.scaler.scale(share * self.processes.world).backward()
            loss += share.detach()
        mean_loss = self._report(float(loss), micro_batches, for_others_s)
        self.optimizers_step()
        self.on_fit_batch_end(batch, None, loss.fill_(mean_loss), True)
        return loss.cpu()

    def _agree(self, batch: Any) -> tuple[list[MicroBatch], float]:
        """All ranks learn what the step holds and whether each has its batches; those, and seconds waited.

        Raises BatchError, SystemExit on the other ranks, when one of them could not make a batch.
        """
        failure = batch.text if isinstance(batch, Failure) else ""
        micro_batches = [] if failure else batch
        frames = [float(b["n_frames"].sum()) for b in micro_batches if "n_frames" in b]
        began = time.monotonic()
        rows = self.processes.gather([bool(failure), sum(map(self.targets, micro_batches)), sum(frames)])
        for_others_s = time.monotonic() - began
        if any(row[0] for row in rows):
            texts = self.processes.gather_text(failure)
            self.save()
            told = "; ".join(f"rank {rank}: {text}" for rank, text in enumerate(texts) if text)
            text = f"step {self.done_steps + 1}: {told if len(texts) > 1 else failure}"
            raise BatchError(text) if failure else self.processes.end(BatchError(text), 2)
        self.total_targets = max(1.0, sum(row[1] for row in rows))
        self.total_frames = max(1.0, sum(row[2] for row in rows))
        return micro_batches, for_others_s

    def _report(self, loss: float, micro_batches: Sequence[MicroBatch], for_others_s: float) -> float:
        """All ranks learn the loss of the step, and whether one was asked to stop.

        Raises TrainingStopped when the loss is not finite, before it moves a weight.
        """
        began, waited_s = self._clock
        now, waited_now_s = time.monotonic(), self._loader.waited_s if self._loader else 0.0
        self._clock = (now, waited_now_s)
        step = Step(
            utterances=sum(len(b["features"]) for b in micro_batches),
            audio_s=sum(map(self.audio_s, micro_batches)),
            for_loader_s=waited_now_s - waited_s,
            for_others_s=for_others_s,
            wall_s=now - began,
        )
        rows = self.processes.gather([loss, self._asked_to_stop.is_set(), *step])
        self.throughput.add([Step(*row[2:]) for row in rows])
        self._stops = any(row[1] for row in rows)
        mean_loss = sum(row[0] for row in rows)
        if not math.isfinite(mean_loss):
            broken = [str(rank) for rank, row in enumerate(rows) if not math.isfinite(row[0])]
            where = f" (rank {', '.join(broken)})" if len(broken) < len(rows) else ""
            stopped = TrainingStopped(
                f"the loss is {mean_loss} at step {self.done_steps + 1}{where}; the checkpoint of an earlier "
                f"step is kept in {self.run.folder}. Lower learning_rate (now {self.config.learning_rate}) "
                "and train anew"
            )
            raise self.processes.end(stopped, 130)
        return mean_loss

    def on_fit_batch_end(self, batch: Any, outputs: Any, loss: Tensor, should_step: bool) -> None:
        self.done_steps += 1
        decay = min(self.config.average_decay, self.done_steps / (10 + self.done_steps))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        self.history.losses.append(float(loss))
        last = self.done_steps == self.steps
        if self.processes.is_main and (last or self._stops or self.throughput.due()):
            self._log(float(loss))
        if last or self._stops or self.done_steps % self.config.checkpoint_every_steps == 0:
            self.save()
        if self._stops and not last:
            stopped = TrainingStopped(
                f"stopped after step {self.done_steps} of {self.steps}; run the same command to go on"
            )
            raise self.processes.end(stopped, 130)

    def _log(self, loss: float) -> None:
        figures = self.throughput.take()
        write_figures(self.run.folder, self.done_steps, figures)
        rate = self.learning_rate(self.done_steps - 1)
        self.run.say(
            f"step {self.done_steps} of {self.steps}: loss {loss:.3f}, learning rate {rate:.2g}; "
            f"{describe(figures)}"
        )

    # -- state ---------------------------------------------------------------------------------------

    def save(self) -> None:
        """Weights, their average, optimizer, losses and step, atomically; rank 0 only."""
        if not self.processes.is_main:
            return
        tensors = named("average", self.average) | optimizer_tensors(self.optimizer)
        for name, module in self.trained.items():
            tensors |= named(name, module.state_dict())
        tensors["history.loss"] = torch.tensor(self.history.losses, dtype=torch.float64)
        sidecar = {
            **self.run.identity,
            "kind": "training state",
            "step": self.done_steps,
            "scaler": self.scaler.state_dict(),
            "totals": self.throughput.totals,
        }
        write_state(self.run.folder, State(tensors, sidecar))
        self.history.append()

    def resume(self) -> None:
        """Takes over the state that the run found, if there was one."""
        state = self.run.state
        if state is None:
            return
        for name, module in self.trained.items():
            module.load_state_dict(state.part(name))
        self.average = {k: v.to(self.device) for k, v in state.part("average").items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state.moments(), "param_groups": groups})
        self.scaler.load_state_dict(state.sidecar["scaler"])
        self.throughput.totals = dict(state.sidecar["totals"])
        self.done_steps = state.step
        self.history.restore(state.tensors["history.loss"].tolist(), write=self.processes.is_main)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.resume()
        if self.done_steps:
            self.run.say(f"resuming {self.run.folder} at step {self.done_steps} of {self.steps}")

    def learn(self, batches: Batches) -> None:
        """Trains to the last step. Raises TrainingStopped on SIGINT or SIGTERM, after a checkpoint."""
        first = self.run.state.step if self.run.state else 0
        if first >= self.steps:
            self.init_optimizers()
            self.resume()
            return
        loader = Loader(batches, self.run, first, self.steps)
        self._loader, self.step, self._clock = loader, first, (time.monotonic(), 0.0)
        with asked_to_stop() as self._asked_to_stop:
            self.fit([1], loader, progressbar=self.processes.is_main and sys.stderr.isatty())

    def facts(self) -> dict[str, Any]:
        """What the finished model's sidecar says of its training."""
        return {"final_loss": self.history.losses[-1], "steps": self.steps, **self.throughput.totals}
