"""Exact event-driven solver on the 8 ns grid: macro-steps of 64 ticks, closed-form propagators, Numba kernels."""
