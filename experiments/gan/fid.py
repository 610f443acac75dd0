"""The Frechet distance between two sets of images, seen through a network: FID where the network is pytorch-fid's
Inception-V3 with the published weights, feature FID where it is a small classifier of the data set at hand. The two
have different units and different names, and are never compared.

Heusel et al.: GANs trained by a two time-scale update rule converge to a local Nash equilibrium, NeurIPS 2017.
"""

import fcntl
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from acprop.runs import UsageError, checkpoint, data_root, require, require_one_of, runs_root
from acprop.runs.identity import resolved, run_dir
from experiments.images.data import ImageData

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{INCEPTION_FILE}"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True)
class Features:
    """A network that turns images into the features that are compared.

    Attributes:
        network: uint8 images (n, C, 32, 32) -> features (n, dims).
        metric: what the distance is called: `fid`, or `feature_fid`.
        published: whether the network is the one that published FIDs use, by checksum.
        facts: what the record says about it.
    """

    network: Callable[[Tensor], Tensor]
    dims: int
    metric: str
    published: bool
    facts: dict[str, Any]

    @torch.inference_mode()
    def of(self, images: Tensor, batch_size: int) -> Tensor:
        """Features of uint8 images, float64 (n, dims)."""
        return torch.cat([self.network(batch).double() for batch in images.split(batch_size)])


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two Gaussians.

    tr (C1 C2)^(1/2) = tr (R C2 R)^(1/2) with R the symmetric root of C1: all that is rooted is symmetric, so the
    result is real without a correction, and singular covariances need none either.
    """
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    middle = root @ cov2 @ root
    trace = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp(min=0).sqrt().sum()
    difference = mean1 - mean2
    return float(difference @ difference + cov1.trace() + cov2.trace() - 2 * trace)


class FID:
    """Distance of generated images from the real ones of a data set."""

    def __init__(
        self, features: Features, data: ImageData, count: int, batch_size: int, reference: str = "test"
    ) -> None:
        """
        Args:
            count: how many generated images each call will get.
            reference: whether they are set against the images of `test` or of `train`.
            batch_size: images per pass of the network; it changes rounding only.

        Raises:
            UsageError: if either side has no more images than features, where a covariance is singular.
        """
        real = data.train_images if reference == "train" else data.test_images
        dims, n = features.dims, len(real)
        require(count > dims, "fid_count", count, f"more than the {dims} features of the network")
        require(
            n > dims, "fid_network", features.facts["network"], f"{dims} features need more than {n} {reference} images"
        )
        self.features, self.count, self.batch_size = features, count, batch_size
        self.real = self.see(real)
        self.mean, self.cov = _moments(self.real)
        self.facts = {
            **features.facts, "dims": dims, "reference": reference, "n_real": n, "n_fake": count,
            "batch_size": batch_size,
        }  # fmt: skip

    def see(self, images: Tensor) -> Tensor:
        """What the network makes of uint8 images (count, C, 32, 32): features (count, dims) for the methods below."""
        return self.features.of(images, self.batch_size)

    def distance(self, fake: Tensor) -> float:
        """FID of the features of generated images."""
        return frechet_distance(*_moments(fake), self.mean, self.cov)

    def kid_precision_recall(self, fake: Tensor) -> dict[str, float]:
        """Of the features of generated images, by torch-fidelity: the kernel distance (mean of 100 subsets of at most
        1000 images; Binkowski et al. 2018), and the shares of generated images within the manifold of real ones and
        of real ones within that of generated ones (3 neighbours; Kynkaanniemi et al. 2019).
        """
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
        from torch_fidelity.metric_prc import prc_features_to_metric

        real, fake = self.real.float(), fake.float()
        subset = min(1000, len(real), len(fake))
        kid = kid_features_to_metric(fake, real, kid_subset_size=subset, verbose=False)[KEY_METRIC_KID_MEAN]
        shares = prc_features_to_metric(fake, real, verbose=False)
        name = self.features.metric.replace("fid", "kid")
        return {name: kid, "precision": shares["precision"], "recall": shares["recall"]}


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(0), torch.cov(features.T)


def make_features(cfg: DictConfig, device: torch.device) -> Features:
    """The network that `fid_network` names."""
    require_one_of("fid_network", cfg.fid_network, ("inception", "classifier"))
    if cfg.fid_network == "inception":
        return inception(cfg.fid_weights, cfg.fid_dims, device)
    return classifier(cfg, device)


def inception(weights: str | None, dims: int, device: torch.device) -> Features:
    """pytorch-fid's Inception-V3 from a local file.

    Args:
        weights: None for `$ACPROP_DATA/pt_inception-2015-12-05-6726825d.pth`, which must be the published file; the
            path of a file is taken as it is, and the record says whether it is the published one.
        dims: 2048, the final average pooling; or 64, 192, 768 of an earlier block.
    """
    from pytorch_fid import inception as pytorch_fid

    require_one_of("fid_dims", dims, pytorch_fid.InceptionV3.BLOCK_INDEX_BY_DIM)
    path = Path(weights) if weights else data_root() / INCEPTION_FILE
    if not path.is_file():
        raise UsageError(
            f"fid_weights={weights!r}: {path} is not there; fetch it from {INCEPTION_URL}, or set ACPROP_DATA to the "
            f"folder that holds it; fid_network=classifier runs now, without any download"
        )
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    published = checksum == INCEPTION_SHA256
    require(
        published or bool(weights), "fid_weights", str(path),
        f"its SHA-256 is {checksum[:12]}... instead of {INCEPTION_SHA256[:12]}...; fetch it again from "
        f"{INCEPTION_URL}, or name it (fid_weights=PATH) to use it as a file of your own",
    )  # fmt: skip
    state = read_weights(path)
    # pytorch-fid's constructor knows no other way to its weights than to download them
    with patch.object(pytorch_fid, "load_state_dict_from_url", return_value=state):
        net = pytorch_fid.InceptionV3([pytorch_fid.InceptionV3.BLOCK_INDEX_BY_DIM[dims]]).eval().to(device)

    def network(images: Tensor) -> Tensor:
        return net(images.expand(-1, 3, -1, -1).float() / 255)[0].mean((2, 3))

    return Features(network, dims, "fid", published, {"network": "inception", "weights_sha256": checksum})


def read_weights(path: Path) -> dict[str, Tensor]:
    return checkpoint.load(path, "name another file as fid_weights; null takes the published one")


def classifier(cfg: DictConfig, device: torch.device) -> Features:
    """The last hidden layer of a classifier of the data set itself.

    It is trained once, by the CNN runner with the settings under `classifier` in conf/gan.yaml, and its record lies
    under runs/features/; later runs, and runs that start meanwhile, take it from there.
    """
    from acprop.runs.launch import build
    from experiments.images.train import train

    shared = {
        key: cfg[key] for key in ("dataset", "device", "deterministic", "checkpoint_every_s", "tracking", "scale")
    }
    names = {**cfg.classifier.names, "dataset": cfg.names.dataset}
    once = {"task": "features", "seed": 0, "force": False, "threads": 1, "names": names}
    settings = OmegaConf.create({**resolved(cfg.classifier), **shared, **once})
    folder = run_dir(resolved(settings))
    lock = runs_root() / "features" / ".lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_done(folder):
            train(settings)
    if not _is_done(folder):
        raise RuntimeError(f"the classifier for feature FID did not train to its end: {folder}")
    record = json.loads((folder / "run.json").read_text())
    data = build("dataset", settings.dataset).to(device)
    net = build("model", settings.model, num_classes=data.num_classes, in_channels=data.channels)
    net.load_state_dict(checkpoint.load(folder / "checkpoint.pt", f"delete {folder}")["objects"]["model"])
    hidden = nn.Sequential(*list(net)[:-1]).eval().to(device)
    facts = {
        "network": f"classifier {record['model']}", "classifier": str(folder.relative_to(runs_root())),
        "classifier_top1": record["final"]["test/top1"],
    }  # fmt: skip
    return Features(lambda images: hidden(data.normalize(images)), net[-1].in_features, "feature_fid", True, facts)


def _is_done(folder: Path) -> bool:
    path = folder / "run.json"
    return path.exists() and json.loads(path.read_text())["status"] == "done"
