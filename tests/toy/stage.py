"""A network that sharpens blurred pictures, against an adversary that tells sharpened from sharp ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from deepix.training.stages.toy.settings import ToySettings
from torch import nn
from torch.nn import functional

from deepix.training.engine.batches import Batches, Validation, seed_of
from deepix.training.engine.card import Card, table
from deepix.training.engine.optimizers import optimizer_of
from deepix.training.engine.stage import Assessment, Criterion, Data, Line, Loss, Panel, Stage
from deepix.training.networks import Family, Network
from deepix.training.networks.base import Exported


class Sharpener(Network):
    def __init__(self, width=4):
        super().__init__()
        self.generator = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))
        self.adversary = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(width, 1, 3))

    def forward(self, blurred):
        return blurred + self.generator(blurred)

    def about(self):
        return {"kind": "toy", "stride": 1}

    def exported(self):
        sides = {"x": {0: torch.export.Dim("batch", min=1)}}

        class Generator(nn.Module):
            def __init__(self, network):
                super().__init__()
                self.network = network

            def forward(self, x):
                return self.network(x)

        return Exported(Generator(self), torch.zeros(2, 1, 12, 12), ("blurred",), ("sharp",), sides)

    def multiply_adds_per_pixel(self):
        return sum(m.weight.numel() for m in self.generator if isinstance(m, nn.Conv2d))


def blurred(pictures):
    return functional.avg_pool2d(pictures, 3, 1, 1)


class ToyStage(Stage):
    name = "toy"
    families = {"sharpener": Family(Sharpener, ("width",))}  # noqa: RUF012
    settings = ToySettings
    columns = ("adversary", "sharpener", "val_gain")
    outcome = ("val_gain",)
    criterion = Criterion("val_gain", "gain", lower=False)
    panels = (Panel("gain", (Line("validation", lambda row: row["val_gain"], decides=True),)),)
    turns = 2

    def open(self, settings, keep):
        pictures = torch.from_numpy(np.load(settings.data)).float()[:, None]
        held = len(pictures) // 4

        def load(step, chosen, rank):
            noise = torch.Generator().manual_seed(seed_of(settings.seed, step, rank))
            part = pictures[held:][chosen]
            return part + 0.01 * torch.randn(part.shape, generator=noise)

        digest = hashlib.sha256(Path(settings.data).read_bytes()).hexdigest()
        about = {"file": settings.data, "sha256": digest, "training_pictures": len(pictures) - held,
                 "picture_shape": list(pictures.shape[2:])}  # fmt: skip
        return Data(
            Batches(np.arange(len(pictures) - held), settings.batch, settings.seed, load),
            Validation(held, settings.batch, lambda chosen: pictures[:held][chosen]),
            about,
        )

    def optimizers(self, network, settings):
        return [
            optimizer_of(network.adversary, settings, lr=2 * settings.lr),
            optimizer_of(network.generator, settings),
        ]

    def loss(self, network, batch, settings, step):
        sharp = network(blurred(batch))
        entropy = functional.binary_cross_entropy_with_logits
        if step.turn == 0:
            true, false = network.adversary(batch), network.adversary(sharp.detach())
            loss = entropy(true, torch.ones_like(true)) + entropy(false, torch.zeros_like(false))
            waits = step.number % 3 == 2  # it is ahead
            return Loss(None if waits else loss, loss.detach(), (loss.detach(),))
        fooled = network.adversary(sharp)
        loss = functional.l1_loss(sharp, batch) + settings.adversary * entropy(fooled, torch.ones_like(fooled))
        return Loss(loss, loss.detach(), (loss.detach(),))

    def tally(self, network, batch, settings):
        before, after = (x.sub(batch).square().sum().double().cpu() for x in (blurred(batch), network(blurred(batch))))
        return torch.stack([before, after])

    def score(self, sums):
        return 1 - float(sums[1] / sums[0])

    def row(self, running, score):
        return dict(zip(self.columns, (*running, score), strict=True))

    def line(self, row, score):
        return f"gain {score:.1%}"

    def summary(self, row):
        return f"gain {row['val_gain']:.4f}"

    def gather(self, recipe, folder):
        return folder / recipe.data, folder / recipe.validation

    def assess(self, network, recipe, folder, device="auto"):
        path = folder / recipe.validation
        pictures = torch.from_numpy(np.load(path)).float()[:, None]
        with torch.inference_mode():
            gain = self.score(self.tally(network, pictures, None))
        return Assessment(
            {"validation_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "gain": gain}, {"sharpness": 3}
        )

    def headline(self, scores):
        return f"gain {scores['gain']:.3f}"

    def report(self, assessment):
        return [self.headline(assessment.scores)]

    def trained(self, extra):
        return {"pictures": extra["data"]["training_pictures"],
                **{key: extra["settings"][key] for key in ("batch", "optimizer", "lr", "adversary")}}  # fmt: skip

    def compare(self, run, network):
        given = np.random.default_rng(0).random((3, 1, 12, 12), np.float32)
        with torch.inference_mode():
            return float(np.abs(run({"blurred": given})[0] - network(torch.from_numpy(given)).numpy()).max())

    def card(self, recipe, about, network):
        return Card(
            facts=[("sharpness", str(about["sharpness"]))],
            scores=table(("gain",), [(f"{about['scores']['gain']:.3f}",)]),
            sections=[("What it invents", ["Edges."])],
            seen="pictures seen",
            runs=[(run["data"], run["steps"] * run["batch"]) for run in about["training"]],
        )


STAGE = ToyStage()
