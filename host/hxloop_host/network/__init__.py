"""Networks of experiments on a chip: codes, weights, spikes."""
