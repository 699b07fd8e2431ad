"""Lab procedures on any object that satisfies `hxloop.chip.Chip`: they see only what a chip shows."""
