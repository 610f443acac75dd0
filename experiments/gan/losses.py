"""Adversarial losses on logits: what the discriminator and the generator minimise.

vanilla            Goodfellow et al. 2014, non-saturating
vanilla_studiogan  the same with StudioGAN's discriminator, which scores fakes by log sigmoid(1 - D(fake)) where the
                   textbook has log(1 - sigmoid(D(fake))) = log sigmoid(-D(fake))
hinge              Lim and Ye 2017; Miyato et al. 2018
rsgan, rasgan      Jolicoeur-Martineau 2019: relativistic, and relativistic average, standard GAN
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class Loss(NamedTuple):
    discriminator: Callable[[Tensor, Tensor], Tensor]  # logits of real, of fake -> mean loss
    generator: Callable[[Tensor, Tensor], Tensor]
    relativistic: bool = False  # the generator's loss looks at real images too


def _non_saturating(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-fake).mean()


def _relativistic_average(a: Tensor, b: Tensor) -> Tensor:
    """Small when every logit of `a` lies above the mean of `b`, and every logit of `b` below the mean of `a`."""
    return (softplus(b.mean() - a).mean() + softplus(b - a.mean()).mean()) / 2


LOSSES = {
    "vanilla": Loss(lambda real, fake: softplus(-real).mean() + softplus(fake).mean(), _non_saturating),
    "vanilla_studiogan": Loss(lambda real, fake: softplus(-real).mean() + softplus(fake - 1).mean(), _non_saturating),
    "hinge": Loss(lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(), lambda real, fake: -fake.mean()),
    "rsgan": Loss(
        lambda real, fake: softplus(fake - real).mean(), lambda real, fake: softplus(real - fake).mean(), True
    ),
    "rasgan": Loss(_relativistic_average, lambda real, fake: _relativistic_average(fake, real), True),
}
