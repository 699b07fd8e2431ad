"""Lists that the named studies have, beside settings and imperfections, and what they mean."""

from __future__ import annotations

from typing import Final

OPTIONS: Final = {
    "mechanism": ("1", "which mechanisms of mismatch or noise are switched on or scaled, one at a time"),
    "method": ("1", "how a chip gets its weights: in_loop, transferred, fine_tuned, off_loop"),
    "spread_percent": ("%", "standard deviation of a mechanism between circuits"),
    "strength_percent": ("%", "standard deviation of noise, of tau_syn, of threshold - leak, or of an event"),
    "fine_tune_epochs": ("epochs", "epochs that weights from elsewhere are trained on for"),
    "weight_bits": ("bits", "bits of a weight's magnitude, 0: not rounded"),
    "weight_limit": ("model weight", "largest model weight, that of code 63"),
    "fault": ("1", "kinds of faults: dead_neurons, dead_rows, lost_events"),
    "share_percent": ("%", "probability that a circuit or row is dead, or an event lost"),
    "drift_mv": ("mV", "standard deviation of the slow drift of thresholds"),
    "time_min": ("min", "chip time between training and test"),
    "care": ("1", "what is done before that test: none, recalibrated, retrained"),
    "residual_factor": ("1", "factor on all that calibration leaves"),
    "quality": ("1", "raw silicon beside it: uncalibrated, calibrated"),
    "rule": ("1", "learning rules; all: every one that has a preset for the task"),
    "loss": ("1", "losses: own, that of the rule's preset, or one of first spikes"),
    "budget": ("1", "what all rules get the same of: epochs, chip_time"),
    "mismatch": ("1", "factor on what calibration leaves and on the spread of synapses"),
    "noise": ("1", "factor on all that is drawn anew in every trial"),
    "n_scratch": ("chips", "first chips of the batch that are also trained from scratch"),
    "origin_serial": ("1", "serial number of the chip whose weights all begin with"),
    "highest_factor": ("1", "largest factor on the strength of a mechanism"),
    "n_base": (
        "samples",
        "samples of the variance-based analysis for each mechanism and two more; a power of 2, 0: none",
    ),
    "calibration": ("1", "chips to compare with what is published: typical, published, default, residuals"),
    "n_trials": ("trials", "repetitions of the test on the chip of the training"),
}
"""Unit (``1``: none) and meaning of every list."""
