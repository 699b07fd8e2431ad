"""Where things lie, whichever folder a test is in."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PYTHONPATH = os.pathsep.join(map(str, (ROOT, ROOT / "host", ROOT / "calibration", ROOT / "chip_emulator", TESTS)))
"""For children that need our packages and `support`, wherever Python has its own from."""
ALONE_PYTHONPATH = os.pathsep.join(
    map(str, (TESTS / "support" / "hiding" / "children", ROOT, ROOT / "host", ROOT / "calibration", TESTS))
)
"""The same for children from which the emulator is hidden."""

SHORT = ROOT / "tests" / "support" / "files_of_before" / "quick.toml"
"""Settings of a short training that tests begin with: they stay as they are when presets become better."""
