"""The process that owns the chip, and the supervisor that looks after it."""
