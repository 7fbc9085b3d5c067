"""What both trainings share: schedule, averaged weights, checkpoints from which an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ovsr_ros.atomic_file import write_atomically


def cosine_rate(step: int, num_steps: int, peak: float, warmup: int = 150) -> float:
    """Learning rate at a step: linear warm-up, then half a cosine down to 1 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(num_steps - warmup, 1)
    return peak * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(share, 1)))))


@dataclass(frozen=True)
class Phase:
    """A share of a training's steps, with a learning rate of its own that rises and falls within it.

    share: of all steps, (0, 1]. peak_rate: the learning rate's maximum.
    """

    share: float
    peak_rate: float


P = TypeVar("P", bound=Phase)


def phase_of(phases: Sequence[P], step: int, num_steps: int) -> tuple[P, float]:
    """The phase that a step belongs to, and the learning rate there."""
    start = 0
    for number, phase in enumerate(phases):
        length = num_steps - start if number == len(phases) - 1 else round(phase.share * num_steps)
        if step < start + length:
            break
        start += length
    return phase, cosine_rate(step - start, length, phase.peak_rate)


class Average:
    """An exponential moving average of a network's weights and buffers, which is what gets shipped."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's present weights; faster in the first steps."""
        decay = min(self.decay, (step + 1) / (step + 10))
        for key, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value.detach(), 1 - decay)
            else:
                self.state[key].copy_(value)


class Run:
    """A resumable training: networks, optimiser, average, and the step reached, kept in one checkpoint file.

    Every step's randomness follows from (seed, step), so a resumed run draws what an uninterrupted one would have.
    """

    def __init__(
        self, path: Path, networks: nn.ModuleDict, optimizer: torch.optim.Optimizer, shipped: str, seed: int
    ) -> None:
        self.path, self.networks, self.optimizer, self.seed = path, networks, optimizer, seed
        self.shipped = networks[shipped]
        self.average = Average(self.shipped, decay=0.998)
        self.step = 0
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["seed"] != seed:
                raise ValueError(f"{path}: made with seed {state['seed']}, asked for {seed}; delete it to start anew")
            networks.load_state_dict(state["networks"])
            optimizer.load_state_dict(state["optimizer"])
            self.average.state = {key: value.clone() for key, value in state["average"].items()}
            for key, value in self.shipped.state_dict().items():
                self.average.state[key] = self.average.state[key].to(value.device)
            self.step = int(state["step"])

    def save(self) -> None:
        """Write the checkpoint; the file is replaced whole."""
        state = {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "step": self.step,
            "seed": self.seed,
        }
        with write_atomically(self.path) as file:
            torch.save(state, file)

    def rng(self) -> np.random.Generator:
        """The randomness of the present step."""
        return np.random.default_rng([self.seed, self.step])

    def steps(
        self, num_steps: int, rate: Callable[[int], float], label: str, save_every: int = 200
    ) -> Iterator[Callable[..., None]]:
        """Yields, per remaining step, a function to call with the loss; it steps the optimiser and shows the figures.

        rate: learning rate by step; a group of parameters with a "rate" has that share of it.
        """
        with tqdm(total=num_steps, initial=self.step, desc=label, unit="step", smoothing=0.05) as bar:
            while self.step < num_steps:
                torch.manual_seed(self.seed * 1_000_003 + self.step)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate(self.step) * group.get("rate", 1.0)

                def finish(loss: torch.Tensor, **figures: Any) -> None:
                    self.optimizer.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                    torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 2.0)
                    self.optimizer.step()
                    self.average.update(self.shipped, self.step)
                    bar.set_postfix({key: f"{float(value):.3f}" for key, value in figures.items()}, refresh=False)

                yield finish
                self.step += 1
                bar.update()
                if self.step % save_every == 0 or self.step == num_steps:
                    self.save()


def decay_groups(networks: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels decay, biases and normalisation weights do not."""
    parameters = [p for p in networks.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
