"""Exponentials against forty exact digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from hxloop.kit.exponential import exp_of, expm1_of
from hxloop.seeds import generator


@pytest.mark.parametrize(("low", "high"), [(-700.0, 700.0), (-3.0, 3.0), (-0.35, 0.35), (-1e-6, 1e-6)])
@pytest.mark.parametrize(("function", "less"), [(exp_of, 0), (expm1_of, 1)])
def test_functions_are_within_one_or_two_units_of_the_last_place(function, less, low, high):
    values = generator(2, "exponential").uniform(low, high, 1000)
    with localcontext() as context:
        context.prec = 40
        for value, found in zip(values, function(values), strict=True):
            true = Decimal(float(value)).exp() - less
            unit = Decimal(float(np.spacing(abs(float(true)))))
            assert abs(Decimal(float(found)) - true) < Decimal(2.01 if less else 1.01) * unit


def test_functions_at_the_ends():
    np.testing.assert_array_equal(exp_of([0.0, -np.inf, np.inf, -800.0]), [1.0, 0.0, np.inf, 0.0])
    np.testing.assert_array_equal(expm1_of([0.0, -np.inf, -800.0]), [0.0, -1.0, -1.0])
    assert exp_of(np.zeros((2, 3))).shape == (2, 3)
