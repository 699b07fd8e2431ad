"""Lab procedures on any object that satisfies `hxloop.chip.Chip`; the routines follow in a later release."""
