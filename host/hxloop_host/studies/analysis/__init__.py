"""Statistics over chips."""
