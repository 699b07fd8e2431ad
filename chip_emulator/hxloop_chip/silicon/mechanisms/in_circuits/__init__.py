"""What varies between circuits, and what is noisy in them."""
