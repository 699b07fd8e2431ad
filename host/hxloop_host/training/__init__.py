"""Experiments: training, evaluation, optimisers."""
