"""How much mismatch training in the loop absorbs.

A study trains the same network on several virtual chips, with more and more spread between their circuits, and returns
a tidy table (pandas). Written as cells of a notebook (``# %%``); as a script, ``python examples/how_much_mismatch.py``
takes about a minute. What is done is kept in ``studies/`` and not done again.
"""

# %%
from __future__ import annotations

import sys
from pathlib import Path

import hxloop


def main(out: str = "studies/example-mismatch", serials: str = "1..2", epochs: int = 5) -> None:
    """Do the study, or go on with it, and print what it found."""
    # %% Vary one list of a named study, and a setting of every training.
    table = hxloop.study(
        "mismatch",
        serials=serials,
        set={"mechanism": ["threshold"], "spread_percent": [0, 20], "training.epochs": epochs, "fine_tune_epochs": 1},
        out=out,
        resume=Path(out).exists(),
    )

    # %% One row a point: group as you like.
    accuracy = table.groupby(["method", "spread_percent"])["test_accuracy"].agg(["mean", "min", "max"])
    print((100 * accuracy).round(1))

    # %% The directory has figures, all tables and a page that works offline.
    print(table.attrs["path"], *sorted(p.name for p in Path(out).iterdir()))


# Workers are processes that import this script, hence the guard.
if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
