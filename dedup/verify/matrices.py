"""Kernels: what verification needs of linear algebra, on six by six numbers.

numba's own goes through SciPy, which is then imported, and compiles for seconds what to say of a
matrix that is not square.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import inner

_SWEEPS: Final = 12  # of a 6 × 6 matrix five are enough; each squares what is left off the diagonal
_NEGLIGIBLE: Final = 1e-40  # squared, relative to the diagonal: far below what a float64 holds


@inner
def inverted(matrix: Any, out: Any) -> None:
    """The inverse of a symmetric, positive definite matrix, which is used up (Gauss-Jordan, no
    pivots needed).
    """
    n = len(matrix)
    for i in range(n):
        for j in range(n):
            out[i, j] = 1.0 if i == j else 0.0

    for k in range(n):
        scale = 1.0 / matrix[k, k]
        for j in range(n):
            matrix[k, j] *= scale
            out[k, j] *= scale
        for i in range(n):
            if i == k:
                continue
            share = matrix[i, k]
            for j in range(n):
                matrix[i, j] -= share * matrix[k, j]
                out[i, j] -= share * out[k, j]


@inner
def least_eigenvalue(matrix: Any) -> Any:
    """The smallest eigenvalue of a symmetric matrix, which is used up.

    Jacobi's rotations, row by row (Golub and Van Loan, "Matrix computations", section 8.5).
    """
    n = len(matrix)
    for _ in range(_SWEEPS):
        beside, diagonal = 0.0, 0.0
        for i in range(n):
            diagonal += matrix[i, i] * matrix[i, i]
            for j in range(i + 1, n):
                beside += matrix[i, j] * matrix[i, j]
        if beside <= _NEGLIGIBLE * diagonal:
            break
        for p in range(n):
            for q in range(p + 1, n):
                if matrix[p, q] != 0.0:
                    _rotate(matrix, p, q)

    least = matrix[0, 0]
    for i in range(1, n):
        least = min(least, matrix[i, i])

    return least


@inner
def _rotate(matrix: Any, p: Any, q: Any) -> None:
    """Make the elements (p, q) and (q, p) zero."""
    half = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
    tangent = 1.0 / (abs(half) + np.sqrt(half * half + 1.0))
    if half < 0.0:
        tangent = -tangent

    cosine = 1.0 / np.sqrt(tangent * tangent + 1.0)
    sine = tangent * cosine
    for k in range(len(matrix)):
        one, two = matrix[k, p], matrix[k, q]
        matrix[k, p], matrix[k, q] = cosine * one - sine * two, sine * one + cosine * two

    for k in range(len(matrix)):
        one, two = matrix[p, k], matrix[q, k]
        matrix[p, k], matrix[q, k] = cosine * one - sine * two, sine * one + cosine * two
