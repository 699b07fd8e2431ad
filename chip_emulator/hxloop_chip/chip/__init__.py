"""The chip in its process: configured, run, read out."""
