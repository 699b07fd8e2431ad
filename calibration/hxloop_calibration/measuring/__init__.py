"""The bench: stimuli, readings, and what several routines measure in the same way."""
