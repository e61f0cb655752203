"""The exponential and the logarithm of the kernel are those of numpy, wherever they may be asked for."""

from typing import Any

import numpy as np
import pytest
from numba import njit

from detector.core.models import kernel


@njit
def _exponentials(values: Any, out: Any) -> None:
    for i in range(len(values)):
        out[i] = kernel.exp(values[i])


@njit
def _logarithms(values: Any, out: Any) -> None:
    for i in range(len(values)):
        out[i] = kernel.log(values[i])


def _each(function: Any, values: kernel.Array) -> kernel.Array:
    out = np.empty_like(values)
    function(values, out)
    return out


@pytest.mark.parametrize("most", [1e-9, 1.0, 50.0, kernel.MOST_EXPONENT])
def test_the_exponential_is_that_of_numpy(most: float) -> None:
    values = np.linspace(-most, most, 200_001)

    assert _each(_exponentials, values) == pytest.approx(np.exp(values), rel=1e-13, abs=0)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(10.0 ** np.linspace(-307, 308, 200_001), id="of every size"),
        pytest.param(np.linspace(0.5, 4, 200_001), id="near 1"),
        pytest.param(1 + np.arange(-64, 129) / 128, id="at the borders of steps"),
        pytest.param(np.array([1e-12, 1.0, 2.0, kernel.LARGEST]), id="of the scale"),
    ],
)
def test_the_logarithm_is_that_of_numpy(values: kernel.Array) -> None:
    assert _each(_logarithms, values) == pytest.approx(np.log(values), rel=1e-13, abs=1e-13)


def test_no_power_of_zero_is_anything_but_one() -> None:
    assert _each(_exponentials, np.zeros(1)) == [1.0]
