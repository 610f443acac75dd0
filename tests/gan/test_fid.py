"""FID: the distance against pytorch-fid's, the networks against their own packages, and what is refused."""

import hashlib
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from pytorch_fid.fid_score import calculate_frechet_distance, get_activations
from torchvision.utils import save_image

from acprop.runs import UsageError, load_records
from experiments.gan import fid
from experiments.gan.fid import FID, Features, classifier, frechet_distance, inception
from experiments.images import data

CPU = torch.device("cpu")


def gaussian(rng, dims, rank=None):
    root = rng.normal(size=(dims, rank or dims))
    return rng.normal(size=dims), root @ root.T / dims


@pytest.mark.parametrize("dims", [2, 8, 64, 192])
def test_the_distance_is_pytorch_fids(dims):
    rng = np.random.default_rng(dims)
    for _ in range(3):
        one, other = gaussian(rng, dims), gaussian(rng, dims)
        expected = calculate_frechet_distance(*one, *other)
        got = frechet_distance(*(torch.from_numpy(a) for a in (*one, *other)))
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_distance_of_commuting_gaussians_has_a_closed_form_and_needs_no_full_rank():
    a, b = torch.tensor([4.0, 1.0, 0.0]).double(), torch.tensor([9.0, 0.0, 0.25]).double()
    mean = torch.tensor([1.0, -2.0, 2.0]).double()
    got = frechet_distance(mean, a.diag(), torch.zeros(3).double(), b.diag())
    assert got == pytest.approx(9 + ((a.sqrt() - b.sqrt()) ** 2).sum().item(), abs=1e-12)
    assert frechet_distance(mean, a.diag(), mean, a.diag()) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(0)
    one, other = (tuple(map(torch.from_numpy, gaussian(rng, 64, rank=20))) for _ in range(2))
    assert frechet_distance(*one, *other) == pytest.approx(frechet_distance(*other, *one), rel=1e-9)


def digits_like(test_images):
    labels = torch.zeros(len(test_images), dtype=torch.int64)
    return data.ImageData(test_images, labels, test_images, labels, (0.5,), (0.5,), 10, flip=False).to(CPU)


def pixels(dims, published=True):
    """The features that are easiest to check: the first pixels themselves."""
    return Features(lambda x: x.flatten(1)[:, :dims].float(), dims, "fid", published, {"network": "pixels"})


def test_statistics_are_those_of_numpy_whatever_the_batch():
    images = torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8)
    other = torch.randint(0, 256, (50, 1, 32, 32), dtype=torch.uint8)
    a, b = (x.flatten(1)[:, :6].double().numpy() for x in (images, other))
    expected = calculate_frechet_distance(b.mean(0), np.cov(b.T), a.mean(0), np.cov(a.T))
    for batch in (7, 100):
        judge = FID(pixels(6), digits_like(images), 50, batch)
        assert judge.distance(judge.see(other)) == pytest.approx(expected, rel=1e-9)
        assert judge.distance(judge.see(images)) == pytest.approx(0, abs=1e-6)
    assert judge.facts == {
        "network": "pixels", "dims": 6, "reference": "test", "n_real": 40, "n_fake": 50, "batch_size": 100
    }  # fmt: skip
    both = replace(digits_like(images), train_images=other[:45], train_labels=torch.zeros(45).long())
    judge = FID(pixels(6), both, 40, 100, "train")
    expected = calculate_frechet_distance(a.mean(0), np.cov(a.T), b[:45].mean(0), np.cov(b[:45].T))
    assert judge.distance(judge.see(images)) == pytest.approx(expected, rel=1e-9)
    assert (judge.facts["reference"], judge.facts["n_real"]) == ("train", 45)


def test_kid_precision_and_recall_are_those_of_their_papers():
    real = torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8)
    fake = torch.randint(60, 200, (40, 1, 32, 32), dtype=torch.uint8)
    judge = FID(pixels(6), digits_like(real), 40, 100)
    got = judge.kid_precision_recall(judge.see(fake))
    x, y = (images.flatten(1)[:, :6].double().numpy() for images in (fake, real))

    def kernel(a, b):
        return (a @ b.T / 6 + 1) ** 3

    n = 40  # the whole of both sides: every subset is the same
    within = sum((kernel(a, a).sum() - kernel(a, a).trace()) / (n * (n - 1)) for a in (x, y))
    assert got["kid"] == pytest.approx(within - 2 * kernel(x, y).mean(), rel=1e-4)

    def covered(points, balls):
        """The share of points that lie no farther from a ball's centre than its third neighbour among the centres."""
        apart = np.linalg.norm(balls[:, None] - balls, axis=-1)
        radius = np.sort(apart, axis=1)[:, 3]
        return (np.linalg.norm(points[:, None] - balls, axis=-1) <= radius).any(1).mean()

    assert got["precision"] == pytest.approx(covered(x, y))
    assert got["recall"] == pytest.approx(covered(y, x))
    assert got["recall"] < got["precision"], "the fake ones lie in the middle of the real ones"
    other = Features(pixels(6).network, 6, "feature_fid", True, {"network": "pixels"})
    assert set(FID(other, digits_like(real), 40, 100).kid_precision_recall(judge.see(fake))) == {
        "feature_kid", "precision", "recall",
    }  # fmt: skip


@pytest.mark.parametrize(("count", "real", "words"), [(6, 40, "fid_count=6"), (50, 6, "fid_network='pixels'")])
def test_no_more_images_than_features_is_refused(count, real, words):
    images = torch.zeros(real, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(UsageError, match=words):
        FID(pixels(6), digits_like(images), count, 10)
    FID(pixels(5), digits_like(images), count, 10)


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """A file in the form of the published weights, with random ones in it."""
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    write_random_inception(path)
    return path


def write_random_inception(path):
    # pytorch-fid builds the network, then loads its weights: without the loading they are what torch drew
    with patch.object(pytorch_fid, "load_state_dict_from_url"), patch.object(torch.nn.Module, "load_state_dict"):
        net = pytorch_fid.fid_inception_v3()
    torch.save(net.state_dict(), path)


@pytest.mark.slow
@pytest.mark.parametrize("dims", [64, 2048])
def test_inception_sees_what_pytorch_fid_sees_in_png_files(dims, random_inception, tmp_path):
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    files = []
    for number, image in enumerate(images):
        save_image(image.float() / 255, tmp_path / f"{number}.png")
        files.append(str(tmp_path / f"{number}.png"))
    features = inception(str(random_inception), dims, CPU)
    assert not features.published
    assert features.facts["weights_sha256"] == hashlib.sha256(random_inception.read_bytes()).hexdigest()
    state = torch.load(random_inception, weights_only=True)
    with patch.object(pytorch_fid, "load_state_dict_from_url", return_value=state):
        theirs = pytorch_fid.InceptionV3([pytorch_fid.InceptionV3.BLOCK_INDEX_BY_DIM[dims]])
    expected = get_activations(files, theirs, batch_size=3, dims=dims, num_workers=0)
    got = features.of(images, 2)
    assert got.shape == (3, dims)
    assert np.allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)
    grey = features.of(images[:, :1], 3)
    assert torch.allclose(grey, features.of(images[:, :1].expand(-1, 3, -1, -1), 3)), "grey is three equal channels"


def test_missing_or_changed_weights_are_one_line(tmp_path):
    with pytest.raises(UsageError) as error:
        inception(None, 2048, CPU)
    for words in (fid.INCEPTION_FILE, "fetch it from https://", "ACPROP_DATA", "fid_network=classifier"):
        assert words in str(error.value)
    path = tmp_path / "data" / fid.INCEPTION_FILE
    path.parent.mkdir()
    path.write_bytes(b"not the published weights")
    with pytest.raises(UsageError, match="SHA-256") as error:
        inception(None, 2048, CPU)
    assert "fid_weights=PATH" in str(error.value)
    with pytest.raises(UsageError, match="fid_dims=100"):
        inception(None, 100, CPU)


SMALL = ("classifier.epochs=1", "classifier.batch_size=240", "classifier.model.width=0.03125", "tracking=none")


def test_the_classifier_is_trained_once_and_always_the_same(configure, monkeypatch, tmp_path):
    cfg = configure("gan", *SMALL)
    features = classifier(cfg, CPU)
    (record,) = load_records("features")
    assert (features.metric, features.dims) == ("feature_fid", 16)
    assert features.facts["classifier_top1"] == record.summary["final"]["test/top1"]
    images = data.digits().test_images[:5]
    first = features.of(images, 2)
    assert torch.equal(classifier(cfg, CPU).of(images, 2), first)
    assert record.summary == next(iter(load_records("features"))).summary, "taken from the cache"
    monkeypatch.setenv("ACPROP_RUNS", str(tmp_path / "elsewhere"))
    torch.manual_seed(5)
    again = classifier(configure("gan", *SMALL, "seed=3", "model=sngan", "scale=smoke"), CPU)
    assert torch.equal(again.of(images, 2), first), "whatever run asks for it"
    state = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["model"]
    from experiments.images.models import resnet34

    net = resnet34(10, 1, 0.03125)
    net.load_state_dict(state)
    d = data.digits().to(CPU)
    logits = net.eval()(d.normalize(images))
    assert torch.allclose(first.float() @ net[-1].weight.T + net[-1].bias, logits, atol=1e-5), "the last hidden layer"
