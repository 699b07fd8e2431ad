"""Tools that belong to no part of the loop: arguments, text, terminals, figures, pages."""
