"""Exact gradients at all spikes that a chip measured: the adjoint of the network, with jumps at their times."""
