"""Exact gradients of every spike of every neuron, at the times that a chip measured."""
