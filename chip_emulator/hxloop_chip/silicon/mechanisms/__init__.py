"""Mechanisms of imperfection, one file each: strengths with sources, and what the mechanism does to a chip."""
