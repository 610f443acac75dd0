"""The GAN runner as a user starts it: real processes, real records, real files."""

from copy import deepcopy

import pytest
import torch
from matplotlib.image import imread
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from acprop.runs import UsageError, load_records
from experiments.gan.train import fixed_noise, follow, gan_step, generate, pixels_in_unit_range, train
from experiments.images import data
from experiments.images import train as supervised
from tests.cifar.test_runner import write_cifar10
from tests.gan.test_fid import SMALL, write_random_inception

CPU = torch.device("cpu")
NO_SCALING = torch.amp.GradScaler("cpu", enabled=False)
SMOKE = ("scale=smoke", "width=0.0625", *SMALL)


@pytest.mark.slow
def test_a_sweep_leaves_records_pictures_and_the_report(command, tmp_path):
    done = command("-m", "experiments.gan", "-m", "model=dcgan,sagan", *SMOKE, "tracking=wandb")
    assert done.returncode == 0, done.stderr
    records = list(load_records("gan"))
    assert [record.summary["model"] for record in records] == ["dcgan", "sagan"]
    for record in records:
        summary = record.summary
        assert summary["status"] == "done", summary
        assert summary["selection"] == "min of test/feature_fid over epochs"
        curve = record.curve("test", "feature_fid", "step")
        assert [step for step, _ in curve] == [2, 4]
        assert summary["best"]["value"] == min(value for _, value in curve)
        assert summary["final"]["test/feature_fid"] == curve[-1][1]
        ((step, _),) = record.curve("test", "feature_kid", "step")
        assert step == curve[-1][0], "of the last pictures alone"
        assert summary["fid"].items() >= {"n_fake": 100, "n_real": 360, "dims": 16, "batch_size": 100}.items()
        assert summary["fid"]["classifier_top1"] > 5
        assert summary["collapsed"] in (True, False)
        pictures = sorted((record.path / "samples").iterdir())
        assert [picture.name for picture in pictures] == ["grid-0000002.png", "grid-0000004.png"]
        assert imread(pictures[0]).shape[:2] == (8 * 34 + 2, 10 * 34 + 2)
        assert list(record.path.rglob("wandb/offline-run-*/files/media/images/grid*.png")), "and wandb has it too"
    results = tmp_path / "results"
    assert "SAGAN best" in (results / "tables" / "table4_feature_fid_digits_smoke.md").read_text()
    assert (results / "figures" / "table4_feature_fid_digits_smoke.png").stat().st_size > 10_000
    assert (results / "figures" / "table4_feature_fid_digits_smoke_samples_acprop.png").stat().st_size > 10_000


@pytest.mark.slow
def test_cifar10_end_to_end_with_an_inception_of_ones_own(configure, tmp_path):
    write_cifar10(tmp_path / "data" / "cifar-10-batches-py", per_file=70)
    weights = tmp_path / "mine.pth"
    write_random_inception(weights)
    settings = [
        "dataset=cifar10", "model=sngan", "optimizer=acprop", "scale=paper", "steps=2", "fid_every=1", "fid_dims=64",
        "fid_count=65", "batch_size=8", "width=0.0625", "threads=1", "tracking=none",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="fid_weights=None"):
        train(configure("gan", *settings))
    assert not list((tmp_path / "runs").rglob("run.json"))
    train(configure("gan", *settings, f"fid_weights='{weights}'"))
    (record,) = load_records("gan")
    assert record.status == "done"
    assert record.summary["metric"] == "fid"
    assert record.summary["published_data"] is False, "neither the images nor the weights are the published files"
    assert record.summary["fid"].items() >= {"network": "inception", "n_real": 70, "n_fake": 65, "dims": 64}.items()
    assert [step for step, _ in record.curve("test", "fid", "step")] == [1, 2]
    assert imread(next((record.path / "samples").iterdir())).shape[2] == 3
    assert not list((tmp_path / "runs" / "features").rglob("run.json")), "no classifier is trained for it"


def settings_of(configure, *overrides):
    from acprop.runs.launch import build

    cfg = configure("gan", *overrides)
    d = pixels_in_unit_range(build("dataset", cfg.dataset), cfg.mirror).to(CPU)
    gan = build("model", cfg.model, num_classes=10, in_channels=1)
    g_optimizer = build("optimizer", cfg.optimizer, gan.generator.parameters())
    d_optimizer = build("optimizer", cfg.optimizer, gan.discriminator.parameters())
    return cfg, d, gan, g_optimizer, d_optimizer


@pytest.mark.parametrize(("model", "d_steps", "reals"), [("dcgan", 2, 2), ("rlgan", 1, 2), ("sngan", 5, 5)])
def test_a_step_is_the_papers(model, d_steps, reals, configure):
    _, d, gan, g_optimizer, d_optimizer = settings_of(configure, f"model={model}", "scale=smoke", "optimizer=adam")
    taken = []

    def batches():
        for batch in d.endless_batches(0, 8):
            taken.append(batch)
            yield batch

    before = [p.clone() for p in gan.generator.parameters()]
    losses = torch.zeros(2, dtype=torch.float64)
    gan_step(gan, g_optimizer, d_optimizer, batches(), 8, "fp32", losses, NO_SCALING)
    steps = [next(iter(o.state.values()))["step"].item() for o in (g_optimizer, d_optimizer)]
    assert steps == [1, d_steps]
    assert len(taken) == reals
    assert any(not torch.equal(a, b) for a, b in zip(before, gan.generator.parameters(), strict=True))
    assert all(p.grad is not None and p.requires_grad for p in gan.discriminator.parameters())
    assert torch.isfinite(losses).all()
    assert (losses != 0).all()


def test_looking_does_not_change_the_run(configure):
    _, _, gan, *_ = settings_of(configure, "model=sagan", "scale=smoke")
    before, rng = {k: v.clone() for k, v in gan.generator.state_dict().items()}, torch.get_rng_state()
    z, y = fixed_noise(gan, 30, 3, CPU)
    one, other = generate(gan.generator, z, y, 30), generate(gan.generator, z, y, 7)
    assert one.dtype == torch.uint8
    assert (one.int() - other.int()).abs().max() <= 1, "the batch changes rounding only"
    assert torch.equal(rng, torch.get_rng_state())
    after = gan.generator.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert gan.generator.training
    assert torch.equal(z, fixed_noise(gan, 30, 3, CPU)[0])
    assert not torch.equal(z, fixed_noise(gan, 30, 4, CPU)[0])
    trained = generate(gan.generator, z, y, 30, "train")
    assert not torch.equal(trained, one), "batch norm by the batch's own statistics"
    after = gan.generator.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before), "which leave the running ones alone"
    gan.generator.train()
    with torch.no_grad():
        expected = gan.generator(z, y).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(trained, expected)


def test_real_images_arrive_in_unit_range_uncropped_and_go_on_anywhere():
    d = pixels_in_unit_range(data.digits(), mirror=True).to(CPU)
    batches = d.endless_batches(seed=1, batch_size=500)
    first = [next(batches) for _ in range(5)]  # two of 500 an epoch
    assert all(len(y) == 500 for _, y in first)
    x = torch.cat([x for x, _ in first[:2]])
    assert (x.min().item(), x.max().item()) == (-1, 1)
    back = x.add(1).mul(127.5).round().to(torch.uint8)
    known = {image.numpy().tobytes() for image in d.train_images}
    assert all(image.numpy().tobytes() in known for image in back), "neither cropped nor mirrored"
    assert len({image.numpy().tobytes() for image in back}) > 990, "an epoch shows an image once"
    for start in (1, 2, 3):
        again = d.endless_batches(seed=1, batch_size=500, start=start)
        for x, y in first[start:]:
            a, b = next(again)
            assert torch.equal(a, x)
            assert torch.equal(b, y)
    with pytest.raises(UsageError, match="batch_size=1438"):
        next(d.endless_batches(seed=1, batch_size=1438))


def test_photographs_are_mirrored_half_of_the_time_or_never():
    images = torch.randint(0, 256, (400, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(400)
    photographs = data.ImageData(images, labels, images, labels, (0.5,) * 3, (0.25,) * 3, 400, flip=True)
    d = pixels_in_unit_range(photographs, mirror=False).to(CPU)
    x, y = next(d.endless_batches(0, 400))
    assert torch.equal(x, d.normalize(images)[y])
    d = pixels_in_unit_range(photographs, mirror=True).to(CPU)
    x, y = next(d.endless_batches(0, 400))
    plain, mirrored = d.normalize(images)[y], d.normalize(images.flip(3))[y]
    is_plain = (x == plain).all((1, 2, 3))
    assert (is_plain ^ (x == mirrored).all((1, 2, 3))).all()
    assert 150 < is_plain.sum() < 250


def test_the_average_follows_slowly_and_is_what_is_judged(configure):
    train(configure("gan", "model=sngan", "optimizer=adam", *SMOKE, "ema=0.999"))
    train(configure("gan", "model=sngan", "optimizer=adam", *SMOKE))
    averaged, plain = sorted(load_records("gan"), key=lambda record: record.config["ema"] is None)
    objects = torch.load(averaged.path / "checkpoint.pt", weights_only=True)["objects"]
    assert torch.equal(objects["generator"]["out.weight"], plain_weights(plain)["out.weight"]), "it only watches"
    assert not torch.equal(objects["average"]["out.weight"], objects["generator"]["out.weight"])
    assert averaged.summary["final"]["test/feature_fid"] != plain.summary["final"]["test/feature_fid"]


def test_the_average_is_torchs():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    expected, mine = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9)), deepcopy(net)
    for step in range(4):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        net(torch.randn(5, 3))
        expected.update_parameters(net)
        follow(mine, net, 1 - 0.9 if step else 1)
    for name, value in expected.module.state_dict().items():
        assert torch.equal(value, mine.state_dict()[name]), name


def plain_weights(record):
    return torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["generator"]


def test_collapse_and_divergence_are_recorded(configure):
    train(configure("gan", *SMOKE, "collapse=0"))
    train(configure("gan", *SMOKE, "collapse=1e9", "seed=1"))
    train(configure("gan", *SMOKE, "optimizer.lr=1e30", "seed=2"))
    collapsed, other, diverged = sorted(load_records("gan"), key=lambda record: record.summary["seed"])
    assert collapsed.summary["collapsed"] is True
    assert other.summary["collapsed"] is False
    assert diverged.status == "diverged"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("steps=5", "steps=5 is not possible: a multiple of fid_every=2"),
        ("fid_every=0", "fid_every=0"),
        ("ema=1.5", "ema=1.5"),
        ("precision=fp8", "precision='fp8'"),
        ("mirror=often", "mirror='often'"),
        ("fid_reference=all", "fid_reference='all' is not possible: choose one of test, train"),
        ("fid_mode=judge", "fid_mode='judge' is not possible: choose one of eval, train"),
        ("fid_network=vgg", "fid_network='vgg'"),
        ("fid_network=inception", "is not there; fetch it from"),
    ],
)
def test_a_bad_value_is_one_line_and_leaves_nothing(setting, words, configure, tmp_path):
    with pytest.raises(UsageError) as error:
        train(configure("gan", *SMOKE, setting))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists(), "it is said before anything is trained"


def test_what_networks_and_data_refuse_is_one_line_too(configure, tmp_path):
    bad = {
        "fid_count=16": "fid_count=16 is not possible: more than the 16 features",
        "optimizer.lr=-1": "optimizer: ACProp: lr=-1",
        "batch_size=2000": "batch_size=2000 is not possible: at most 1437",
        "model=resnet34": "model='resnet34' is not possible: it is no GAN",
    }
    for setting, words in bad.items():
        with pytest.raises(UsageError) as error:
            train(configure("gan", *SMOKE, "tuned=none", setting))
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    assert not list((tmp_path / "runs" / "gan").rglob("run.json"))
    with pytest.raises(UsageError, match="model='dcgan' is not possible: it classifies no images"):
        supervised.train(configure("cifar", "model=dcgan", "tuned=none"))


def test_both_networks_are_compiled_and_keep_their_names(configure, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda net, mode: compiled.append((type(net).__name__, mode)))
    train(configure("gan", "model=rlgan", *SMOKE, "compile=reduce-overhead"))
    assert compiled == [("Generator", "reduce-overhead"), ("Discriminator", "reduce-overhead")]


def test_fp16_scales_both_losses_and_keeps_the_scale(configure):
    train(configure("gan", "model=rlgan", *SMOKE, "precision=fp16"))
    (record,) = load_records("gan")
    assert record.status == "done"
    assert record.summary["precision"] == "fp16"
    scaler = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["scaler"]
    assert scaler["scale"] > 0


def test_bf16_changes_only_rounding(configure):
    _, d, gan, g_optimizer, d_optimizer = settings_of(configure, "model=rlgan", "scale=smoke")
    losses = {}
    start = {k: v.clone() for k, v in gan.discriminator.state_dict().items()}
    for precision in ("fp32", "bf16"):
        gan.discriminator.load_state_dict(start)
        torch.manual_seed(0)
        losses[precision] = torch.zeros(2, dtype=torch.float64)
        gan_step(gan, g_optimizer, d_optimizer, d.endless_batches(0, 8), 8, precision, losses[precision], NO_SCALING)
    assert not torch.equal(losses["fp32"], losses["bf16"])
    assert torch.allclose(losses["fp32"], losses["bf16"], rtol=0.05)
