"""Settings of experiments."""
