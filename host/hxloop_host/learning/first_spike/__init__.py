"""Fast & Deep: learning with first spike times."""
