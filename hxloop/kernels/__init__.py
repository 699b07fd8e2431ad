"""Compiled kernels: their cache, and how far their compilation is."""
