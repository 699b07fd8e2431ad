"""Files and folders: the one place each for opening, trusting, locking, writing and reading them."""
