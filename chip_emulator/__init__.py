"""The emulated chip and its service; started as `python -m chip_emulator`, imported by nobody."""
