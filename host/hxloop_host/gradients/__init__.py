"""Gradients held against references: exact networks in continuous time, differences, and what a chip measures."""
