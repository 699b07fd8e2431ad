"""Characterising a chip: what it shows of its spreads and noises, and the strengths that explain it."""
