"""Data sets as arrays of features and labels."""

from host.datasets.base import Dataset, Split
from host.datasets.mnist import mnist16
from host.datasets.yin_yang import generate_yin_yang, yin_yang

__all__ = ["Dataset", "Split", "generate_yin_yang", "mnist16", "yin_yang"]
