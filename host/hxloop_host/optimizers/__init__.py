"""What turns gradients into new weights: one file each, found by name."""
