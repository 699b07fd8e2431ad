"""What a study asks, and what it may turn."""
