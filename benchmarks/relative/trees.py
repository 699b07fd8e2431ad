"""Other commits to race against: worktrees of git in the cache folder, each with its own compiled kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from benchmarks.measuring.figures import ROOT
from benchmarks.measuring.other_processors import PROCESSORS
from hxloop.errors import InvalidInputError
from hxloop.files.folders import cache_directory

_HERE: Final = Path(__file__).resolve().parent
_PACKAGES: Final = ("chip_emulator/hxloop_chip", "host/hxloop_host", "calibration/hxloop_calibration")


@dataclass(frozen=True)
class Tree:
    """Sources of one commit.

    Attributes
    ----------
    commit : str
        As `git describe --always --dirty` calls it.
    folder : Path
    cache : Path or None
        Its `HXLOOP_CACHE_DIR`; None for that of this process.
    processor : str
        In `PROCESSORS`, what its kernels are compiled for; empty for this machine.
    """

    commit: str
    folder: Path
    cache: Path | None = None
    processor: str = ""

    @classmethod
    def here(cls) -> Self:
        """The working tree that this file lies in."""
        return cls(_git("describe", "--always", "--dirty", "--abbrev=12"), ROOT)

    @classmethod
    def at(cls, commit: str) -> Self:
        """Another commit, checked out anew or from an earlier race.

        Raises
        ------
        InvalidInputError
            There is no such commit.
        """
        name = _git("rev-parse", "--short=12", "--verify", "--quiet", f"{commit}^{{commit}}")
        folder = races() / name
        if not (folder / "tree").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _git("worktree", "prune")
            _git("worktree", "add", "--quiet", "--detach", str(folder / "tree"), name)
        return cls(name, folder / "tree", folder / "cache")

    def compiled_for(self, processor: str) -> Tree:
        """The same sources on a machine of which one in `PROCESSORS` is said, with kernels of its own."""
        name = "here" if self.cache is None else self.commit
        return replace(self, cache=races() / name / f"cache-{processor}", processor=processor)

    def environment(self, *behind: Path) -> dict[str, str]:
        """Variables under which its packages are imported, with more folders behind them."""
        parents = dict.fromkeys(self.folder / package for package in _PACKAGES if (self.folder / package).is_dir())
        path = [self.folder, *(package.parent for package in parents), _HERE, *behind]
        found = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
        found |= PROCESSORS.get(self.processor, {})
        return found if self.cache is None else found | {"HXLOOP_CACHE_DIR": str(self.cache)}


def races() -> Path:
    """Folder of all trees that were checked out."""
    return cache_directory() / "races"


def remove_all() -> None:
    """Remove all trees that were checked out, and their kernels."""
    shutil.rmtree(races(), ignore_errors=True)
    _git("worktree", "prune")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InvalidInputError(
            f"git {arguments[0]} failed: {done.stderr.strip() or 'no such commit'}",
            hint="a race needs a clone with the commit in it",
            field="against",
        )
    return done.stdout.strip()
