"""Weights and delays from first spike times."""
