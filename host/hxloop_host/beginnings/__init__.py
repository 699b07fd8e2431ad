"""What a training begins with: one file each, found by name."""
