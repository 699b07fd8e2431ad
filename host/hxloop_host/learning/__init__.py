"""Learning rules: what was measured on the chip in, gradients of the weights out."""
