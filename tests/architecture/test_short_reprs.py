"""What holds arrays shows itself in one short line, wherever it is defined."""

import ast
import re

import pytest
from support.places import ROOT

LARGE = re.compile(
    r"NDArray|\bFloats\b|DataFrame|Quantity|\bRecord\b|EpochMetrics\]|SharedCodes|NeuronCodes|SpikeBatch"
)
"""In the annotation of a field: many numbers."""


def large_dataclasses():
    for package in ("hxloop", "calibration", "host"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
                if not isinstance(node, ast.ClassDef) or not any(d.startswith("dataclass") for d in decorators):
                    continue
                notes = [ast.unparse(n.annotation) for n in node.body if isinstance(n, ast.AnnAssign)]
                if not node.name.startswith("_") and any(LARGE.search(note) for note in notes):
                    own = any(isinstance(n, ast.FunctionDef) and n.name == "__repr__" for n in node.body)
                    yield pytest.param(own or "brief" in decorators, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("is_short", list(large_dataclasses()))
def test_dataclasses_with_arrays_have_a_short_repr(is_short):
    assert is_short
