"""``python -m hxloop``."""

from hxloop.cli import main

if __name__ == "__main__":
    main()
