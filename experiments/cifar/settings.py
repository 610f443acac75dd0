"""What the settings of a CNN on 32x32 images may be."""

from acprop.runs.settings import Settings
from experiments.images.settings import IMAGES, WIDTH, try_parts

SETTINGS = Settings({**IMAGES, "width": WIDTH}, try_parts)
