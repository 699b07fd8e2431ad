"""What becomes of events between host and chip."""
