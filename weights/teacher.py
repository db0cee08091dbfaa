"""Labels for galaxies without votes: an ensemble of ours and an ImageNet net, fine-tuned on the galaxies with votes.

    python weights/teacher.py ../shared/data WORK

What is made is kept in WORK: the net after each round (teacher0.pt, teacher1.pt), and its votes of all galaxies
(teacher.PART.npy). On one core the two rounds take two hours. student.py averages the votes of both kinds of nets and
moves them to where they agree with the clean class of the galaxy (bound_votes).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from image_net import load_image_net
from torch import Tensor, nn

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import is_pack, read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import KAGGLE
from convnet_galaxies.measure.scores import evaluate_votes
from convnet_galaxies.model.augment import fixed_view, fixed_warps, random_views
from convnet_galaxies.model.galaxy_net import to_channels_last
from convnet_galaxies.model.heads import VoteHead
from convnet_galaxies.settings import AugmentSettings

ZOO_PARTS = (0.90, 0.03, 0.07)
"""Training, validation and test; the first chooses nothing, the last is only scored."""
HELD_OUT = ("validation", "test")
NUMBER, STORED_PX, VIEW_PX, INPUT_PX = 0, 128, 84.0, 160
BATCH, RATE, DECAY, DROPOUT = 32, 1e-3, 0.05, 0.3
VIEWS = 8

CLEAN = {
    "completely round smooth": (("Class1.1", None, 0.469), ("Class7.1", "Class1.1", 0.5)),
    "in between smooth": (("Class1.1", None, 0.469), ("Class7.2", "Class1.1", 0.5)),
    "cigar-shaped smooth": (("Class1.1", None, 0.469), ("Class7.3", "Class1.1", 0.5)),
    "edge-on": (("Class1.2", None, 0.430), ("Class2.1", "Class1.2", 0.602)),
    "spiral": (("Class1.2", None, 0.430), ("Class2.2", "Class1.2", 0.715), ("Class4.1", "Class2.2", 0.619)),
}
"""The least fraction of an answer, among those who were asked, of each clean class (Zhu et al. 2019, arXiv:1807.10406,
table 1, after Willett et al. 2013)."""


class VoteNet(nn.Module):
    """An ImageNet net with our head for votes: normalised images float [n, 3, h, w] to fractions [n, 37]."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = load_image_net(NUMBER)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = VoteHead(self.backbone.features)

    def forward(self, images: Tensor) -> Tensor:
        votes: Tensor = self.head(self.dropout(self.backbone(images)).float())
        return votes


@dataclass(frozen=True)
class Round:
    """Training whose rate goes up and down once.

    sizes_px: size of the input in each epoch; one of 160 px takes twice the time of one of 112.
    frozen: the number of first blocks that stay as they are, by which an epoch takes two thirds of the time.
    warmup: share of the steps in which the rate goes up. keep: of the moving average, per step.
    """

    sizes_px: tuple[int, ...]
    frozen: int
    warmup: float
    keep: float


ROUNDS = (Round((112,) * 7 + (INPUT_PX,) * 6, 0, 0.06, 0.994), Round((INPUT_PX,) * 27, 3, 0.03, 0.995))


def train_round(net: VoteNet, images: ImageSet, train: np.ndarray, one: Round, *, seed: int) -> None:
    """Fine-tune on rows (int [n]); the weights in the end are the moving average over the last steps."""
    torch.manual_seed(seed)
    votes = torch.from_numpy(images.table[list(KAGGLE.columns)].to_numpy(np.float32))
    still = [net.backbone.stem, *net.backbone.blocks[: one.frozen]] if one.frozen else []
    for module in still:
        module.requires_grad_(False)
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    shaped = [parameter for parameter in learned if parameter.ndim > 1]
    others = [parameter for parameter in learned if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": shaped, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], RATE
    )
    steps = len(train) // BATCH * len(one.sizes_px)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1.0, (k + 1) / (one.warmup * steps)) * 0.5 * (1 + math.cos(math.pi * k / steps))
    )
    average = {name: value.clone() for name, value in net.state_dict().items()}
    generator, rng, step = torch.Generator().manual_seed(seed), np.random.default_rng(seed), 0
    for size_px in one.sizes_px:
        net.train()
        for module in still:
            module.eval()
        order = rng.permutation(train)
        for start in range(0, len(train) - BATCH + 1, BATCH):
            rows = np.sort(order[start : start + BATCH])
            pixels = torch.from_numpy(images.images[rows])
            views = random_views(pixels, AugmentSettings(), generator, view_px=VIEW_PX, output_px=size_px)
            loss = (net(views.contiguous(memory_format=torch.channels_last)) - votes[rows]).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            step += 1
            keep = min(one.keep, (step + 1) / (step + 10))
            for name, value in net.state_dict().items():
                if value.dtype.is_floating_point:
                    average[name].mul_(keep).add_(value, alpha=1 - keep)
                else:
                    average[name].copy_(value)
    net.load_state_dict(average)


@torch.inference_mode()
def predict_votes(net: VoteNet, pixels: np.ndarray, *, views: int = VIEWS) -> np.ndarray:
    """Votes of uint8 [n, h, w, 3], float32 [n, 37], mean over fixed views."""
    net.eval()
    found = []
    for start in range(0, len(pixels), BATCH):
        block = torch.from_numpy(np.array(pixels[start : start + BATCH]))
        total = torch.zeros(len(block), len(KAGGLE.columns))
        for warp in fixed_warps(views):
            view = fixed_view(block, warp, view_px=VIEW_PX, output_px=INPUT_PX)
            total += net(view.contiguous(memory_format=torch.channels_last)) / views
        found.append(total.numpy())
    return np.concatenate(found)


def bound_votes(votes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Move votes, float [n, 37], to the nearest that the clean class (str [n]) allows; all sums of the tree hold."""
    columns = list(KAGGLE.columns)
    shares = np.array(votes, float)
    for part, base in zip(KAGGLE.slices, _asked(votes), strict=True):
        shares[:, part] /= np.maximum(base, 1e-9)[:, None]
        shares[:, part] /= np.maximum(shares[:, part].sum(axis=1, keepdims=True), 1e-9)
    for name, bounds in CLEAN.items():
        rows = np.flatnonzero(classes == name)
        for column, _, least in bounds:
            place = columns.index(column)
            part = next(one for one in KAGGLE.slices if one.start <= place < one.stop)
            of_question = shares[rows, part]
            share = of_question[:, place - part.start]
            low = share < least
            others = of_question[low] * ((1 - least) / np.maximum(1 - share[low], 1e-9))[:, None]
            others[:, place - part.start] = least
            of_question[low] = others
            shares[rows, part] = of_question
    return np.stack(KAGGLE.fill(lambda question, answer: _share(shares, question, answer)), axis=1)


def _share(shares: np.ndarray, question: int, answer: int) -> np.ndarray:
    return shares[:, KAGGLE.slices[question].start + answer]


def _asked(votes: np.ndarray) -> list[np.ndarray]:
    """The fraction of all volunteers who were asked each question: what its answers sum to."""
    return [votes[:, part].sum(axis=1) for part in KAGGLE.slices]


def labelled(data: Path, work: Path, size_px: int) -> ImageSet:
    """The galaxies with votes, the central 288 of 424 px."""
    path = work / f"zoo{size_px}.pack"
    if not is_pack(path):
        write_pack(read_galaxy_zoo(data / "galaxy-zoo"), Preprocess(crop_px=288, size_px=size_px), path)
    return read_pack(path)


def unlabelled(data: Path, work: Path, size_px: int) -> ImageSet:
    """The galaxies without votes, the same part of the sky."""
    path = work / f"unlabelled{size_px}.pack"
    if not is_pack(path):
        write_pack(read_image_folder(data / "galaxy-zoo-unlabelled" / "images.zip"), Preprocess(size_px=size_px), path)
    return read_pack(path)


def clean_classes(data: Path, images: ImageSet) -> np.ndarray:
    """The clean class of each galaxy, str [n]."""
    table = pd.read_csv(data / "galaxy-zoo-unlabelled" / "classes.csv", dtype=str).set_index("id")["clean_class"]
    return table.str.lower().reindex(images.table["id"].astype(str)).to_numpy(str)


def teach(data: Path, work: Path) -> dict[str, np.ndarray]:
    """The teacher's votes, float32 [n, 37], made once: by part of the galaxies with votes, and of the unlabelled."""
    images = labelled(data, work, STORED_PX)
    parts = images.split(ZOO_PARTS, seed=0)
    net = to_channels_last(VoteNet())
    for number, one in enumerate(ROUNDS):
        kept = work / f"teacher{number}.pt"
        if kept.is_file():
            net.load_state_dict(torch.load(kept, weights_only=True))
        else:
            train_round(net, images, np.flatnonzero(parts == "train"), one, seed=number)
            torch.save(net.state_dict(), kept)
    pixels = {part: np.asarray(images.images)[parts == part] for part in np.unique(parts)}
    pixels["unlabelled"] = np.asarray(unlabelled(data, work, STORED_PX).images)
    votes = {}
    for part, of_part in pixels.items():
        kept = work / f"teacher.{part}.npy"
        if not kept.is_file():
            np.save(kept, predict_votes(net, of_part))
        votes[part] = np.load(kept)
    return votes


def describe_error(galaxies: ImageSet, part: str, predict: Callable[[np.ndarray], np.ndarray]) -> str:
    """The RMSE of a held-out part with its 95 % interval; predict: of images uint8 [n, h, w, 3], float [n, 37]."""
    held_out = galaxies.select(np.flatnonzero(galaxies.split(ZOO_PARTS, seed=0) == part))
    table = held_out.table
    truth, groups = table[list(KAGGLE.columns)].to_numpy(float), table["group"].to_numpy()
    rmse = evaluate_votes(truth, np.asarray(predict(held_out.images), float), groups, seed=0).rmse
    return f"{part}: RMSE {rmse.value:.4f} ({rmse.low:.4f} to {rmse.high:.4f}), {VIEWS} views"


def main() -> None:
    """Train the teacher and print its error on the held-out galaxies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    votes = teach(given.data, given.work)
    galaxies = labelled(given.data, given.work, STORED_PX)
    for part in HELD_OUT:
        print(describe_error(galaxies, part, lambda _, part=part: votes[part]))


if __name__ == "__main__":
    main()
