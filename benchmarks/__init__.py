"""How fast the emulator, its service and the training are; `python -m benchmarks.run --list` names every figure."""
