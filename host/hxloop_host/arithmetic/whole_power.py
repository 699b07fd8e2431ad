"""Powers with whole exponents, by multiplications alone: the same bits wherever they are computed."""


def whole_power(base: float, exponent: int) -> float:
    """``base ** exponent`` of a whole exponent >= 0, by squaring."""
    value = 1.0
    while exponent:
        if exponent & 1:
            value *= base
        base *= base
        exponent >>= 1
    return value
