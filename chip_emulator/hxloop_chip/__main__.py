"""``python -m hxloop_chip``."""

from hxloop_chip.cli import main

if __name__ == "__main__":
    main()
