"""Spike times in continuous time: closed forms, their gradients, silence; what several rules share."""
