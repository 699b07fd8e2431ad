"""Surrogate gradients at spikes and membranes that the chip measured."""
