"""What a chip refuses."""
