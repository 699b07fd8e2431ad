"""What those who wait for the chip's kernels are told."""

from hxloop.files.folders import cache_directory
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import compiled


def test_the_number_of_kernels_is_about_right():
    """All are compiled for the smallest run; other recordings need a few more versions of some."""
    EmulatedChip().warm_up()
    stored = list((cache_directory() / "kernels").rglob("hxloop_chip.*.kernel"))
    newest = max(stored, key=lambda path: path.stat().st_mtime).parent
    assert compiled.N_KERNELS <= len(list(newest.glob("*.kernel"))) < 1.2 * compiled.N_KERNELS
