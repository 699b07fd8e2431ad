"""Points of a study: their work, their store, and the processes that do it."""
