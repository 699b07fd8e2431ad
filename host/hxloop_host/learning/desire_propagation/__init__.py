"""Desire backpropagation: ternary targets travel backward, weights learn by trace times desire."""
