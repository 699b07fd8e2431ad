"""What follows from readings of membranes: a network between them, what they measure, and derivatives through it."""
