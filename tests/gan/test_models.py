"""The four GANs have the sizes of their sources' tables, and their parts do what they are named after."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from acprop.runs import UsageError
from acprop.runs.launch import CONF, build
from experiments.gan.layers import BatchNorm, SelfAttention, orthogonal, spectral

MODELS = [p.stem for p in (CONF / "model").glob("*.yaml") if "experiments.gan." in p.read_text()]


def conv(i, o, k, bias=True):
    return i * o * k * k + o * bias


def linear(i, o):
    return i * o + o


# The tables, layer by layer, written down from the sources and not from this project's code. 10 classes, 3 channels.
DCGAN_G = (
    linear(128, 512 * 16)
    + sum(conv(a, b, 4) + 2 * b for a, b in ((512, 256), (256, 128), (128, 64)))  # transposed convolution, batch norm
    + conv(64, 3, 3)
)
CONVS = ((3, 64, 3), (64, 64, 4), (64, 128, 3), (128, 128, 4), (128, 256, 3), (256, 256, 4), (256, 512, 3))
CLASS_NORM = 2 * 10 * 256  # a gain and a bias for each of 10 classes
UP = 2 * CLASS_NORM + conv(256, 256, 1) + 2 * conv(256, 256, 3)
SNGAN_G = linear(128, 256 * 16) + 3 * UP + 2 * 256 + conv(256, 3, 3)
SNGAN_D = (
    conv(3, 128, 1) + conv(3, 128, 3) + conv(128, 128, 3)
    + conv(128, 128, 1) + 2 * conv(128, 128, 3)  # halves the picture, so its shortcut has a convolution
    + 2 * 2 * conv(128, 128, 3)
    + linear(128, 1) + 10 * 128
)  # fmt: skip


def attention(c):
    return 2 * conv(c, c // 8, 1, bias=False) + conv(c, c // 2, 1, bias=False) + conv(c // 2, c, 1, bias=False) + 1


SIZES = {
    "dcgan": (DCGAN_G, sum(conv(*c) + 2 * c[1] for c in CONVS) + linear(512, 1)),
    "rlgan": (DCGAN_G, sum(conv(*c) for c in CONVS) + linear(512 * 16, 1)),  # spectral norm has no parameters
    "sngan": (SNGAN_G, SNGAN_D),
    "sagan": (SNGAN_G + attention(256), SNGAN_D + attention(128)),
}
LOGGED = {  # "Number of parameters" in StudioGAN's published training logs (DCGAN's networks: the GGAN log)
    "dcgan": (3_812_355, 2_931_009), "sngan": (4_304_387, 1_055_105), "sagan": (4_386_308, 1_075_586),
}  # fmt: skip


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("model", MODELS)
def test_the_papers_networks_have_their_size(model, configure):
    cfg = configure("gan", f"model={model}", "scale=paper")
    gan = build("model", cfg.model, num_classes=10, in_channels=3)
    sizes = parameters(gan.generator), parameters(gan.discriminator)
    assert sizes == SIZES[model]
    assert sizes == LOGGED.get(model, sizes)
    z, y = gan.noise(2, torch.device("cpu"))
    assert z.shape == (2, 128)
    pictures = gan.generator(z, y)
    assert pictures.shape == (2, 3, 32, 32)
    assert pictures.abs().max() <= 1
    assert gan.discriminator(pictures, y).shape == (2,)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("scale", ["laptop", "smoke"])
@pytest.mark.parametrize("model", MODELS)
def test_with_and_without_classes_at_every_scale(model, scale, conditional, configure):
    cfg = configure("gan", f"model={model}", f"scale={scale}", f"model.conditional={conditional}")
    gan = build("model", cfg.model, num_classes=7, in_channels=1)
    z, y = gan.noise(4, torch.device("cpu"))
    assert int(y.max()) < 7
    other = (y + 1) % 7
    gan.generator.eval()  # in training mode spectral norm and batch norm move on with every look
    gan.discriminator.eval()
    pictures = gan.generator(z, y)
    assert pictures.shape == (4, 1, 32, 32)
    same = torch.equal(pictures, gan.generator(z, other))
    assert same is not conditional, "the class matters exactly where the model knows classes"
    same = torch.equal(gan.discriminator(pictures, y), gan.discriminator(pictures, other))
    assert same is not conditional


@pytest.mark.parametrize(
    ("model", "generator", "discriminator"),
    [("dcgan", 0, 0), ("rlgan", 0, 7), ("sngan", 0, 12), ("sagan", 31, 16)],
)
def test_spectral_norm_lies_where_the_source_has_it(model, generator, discriminator, configure):
    # generator of SAGAN: linear, 3 blocks x (3 convolutions, 4 embeddings), 4 of attention, last convolution, less the
    # batch norms; discriminator of SNGAN: 3 + 3 + 2 + 2 convolutions, linear, embedding; SAGAN: 4 of attention more
    gan = build("model", configure("gan", f"model={model}").model, num_classes=10, in_channels=1)
    counted = [sum(is_parametrized(m) for m in net.modules()) for net in (gan.generator, gan.discriminator)]
    assert counted == [generator if model != "sagan" else 1 + 3 * (3 + 4) + 4 + 1, discriminator]
    for layer in gan.discriminator.modules():
        if is_parametrized(layer):
            for _ in range(60):
                layer.weight  # noqa: B018 - each look is one power iteration in training mode
            weight = layer.weight.detach().flatten(1)
            assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=2e-2)


def test_orthogonal_init_is_orthogonal():
    weight = orthogonal(torch.nn.Conv2d(16, 8, 3)).weight.detach().flatten(1)
    assert torch.allclose(weight @ weight.T, torch.eye(8), atol=1e-5)
    layer = spectral(orthogonal)(torch.nn.Linear(8, 8))
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(8), atol=1e-4), "initialised before it is normalised"
    assert torch.equal(layer.bias.detach(), torch.zeros(8))


def test_attention_starts_as_the_identity_and_sees_everything():
    attention = SelfAttention(16, orthogonal)
    x = torch.randn(1, 16, 8, 8)
    assert torch.equal(attention(x), x)
    torch.nn.init.ones_(attention.gamma)
    # an independent transcription, position by position
    theta, phi, g = (layer(x)[0] for layer in (attention.theta, attention.phi, attention.g))
    phi, g = (torch.nn.functional.max_pool2d(part[None], 2)[0].flatten(1) for part in (phi, g))
    row, column = 3, 5
    weights = torch.softmax(torch.stack([theta[:, row, column] @ phi[:, j] for j in range(16)]), 0)
    seen = sum(w * g[:, j] for j, w in enumerate(weights))
    expected = x[0, :, row, column] + attention.out.weight[:, :, 0, 0] @ seen
    assert torch.allclose(attention(x)[0, :, row, column], expected, atol=1e-5)


@pytest.mark.parametrize(("setting", "words"), [("loss=wgan", "model.loss"), ("d_steps=0", "model.d_steps=0")])
def test_a_wrong_game_is_refused(setting, words, configure):
    cfg = configure("gan", f"model.{setting}")
    with pytest.raises(UsageError, match=words):
        build("model", cfg.model, num_classes=10, in_channels=1)


def test_class_norm_is_one_plus_the_classs_gain():
    norm = BatchNorm(4, 3, orthogonal, orthogonal)
    x, y = torch.randn(5, 4, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    gain, bias = (e.weight[y][:, :, None, None] for e in (norm.gain, norm.bias))
    assert torch.allclose(norm(x, y), (x - mean) / (var + 1e-4).sqrt() * (1 + gain) + bias, atol=1e-5)
    plain = BatchNorm(4, 0, orthogonal, orthogonal)
    assert torch.allclose(plain(x, y), (x - mean) / (var + 1e-4).sqrt(), atol=1e-5)


def test_attention_looks_at_16x16_in_both_networks(configure):
    gan = build("model", configure("gan", "model=sagan").model, num_classes=10, in_channels=1)
    seen = []
    for net in (gan.generator, gan.discriminator):
        net.attention.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[2:])))
    z, y = gan.noise(2, torch.device("cpu"))
    gan.discriminator(gan.generator(z, y), y)
    assert seen == [(16, 16), (16, 16)]
