"""Neurons near their threshold, one macro-step in detail."""
