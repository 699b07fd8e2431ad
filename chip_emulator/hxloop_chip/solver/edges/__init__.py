"""Kernels where events and readings enter and leave the solver."""
