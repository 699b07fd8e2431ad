"""``python -m chip_emulator``."""

from chip_emulator.cli import main

if __name__ == "__main__":
    main()
