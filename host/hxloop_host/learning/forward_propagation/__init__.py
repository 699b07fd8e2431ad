"""Forward propagation through time: an optimiser step for each part of a sample, held together by a running mean."""
