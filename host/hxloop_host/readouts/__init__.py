"""What answers, and its loss: one file for each thing that is read, found by name."""
