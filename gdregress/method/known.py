"""The curvature of squared error, factored from moments or, where these have too few digits, from what has more."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy.typing import NDArray

from gdregress.method.collinear import inverse_of_collinear
from gdregress.method.preconditioners import InverseCurvature, InverseHessian
from gdregress.problem.problem import Problem
from gdregress.problem.spectrum import Spectrum

COSTLY = 2**23
"""Multiplications of a factorisation of the rows from which another way is tried first where columns are collinear."""

FIT_ERROR = 1e-10
"""Largest estimated relative error of a fit from moments with which the moments replace the rows."""

STEP_ERROR = 1e-6
"""Largest such error of a matrix of second derivatives with which Newton's steps need no orthonormal columns."""


@dataclass(frozen=True)
class Known:
    """The curvature as factored from the moments or, where these have too few digits, from what has more.

    Attributes
    ----------
    inverse : InverseCurvature or None
        The inverse Hessian of squared error; None where only its diagonal is known.
    moments_suffice : bool
        Whether a fit from the moments is as precise as one from the rows, or all there is.
    spectrum : Spectrum or None
        The spectrum of the moments, where they are all there is and have too few digits; None elsewhere.
    """

    inverse: InverseCurvature | None
    moments_suffice: bool
    spectrum: Spectrum | None = None

    @classmethod
    def of_moments(cls, problem: Problem, digits: float, *, products: bool) -> "Known":
        """Factor the products of the columns.

        Parameters
        ----------
        problem : Problem
            The problem, in its unit-curvature coordinates.
        digits : float
            Largest estimated relative error with which they suffice.
        products : bool
            Whether they were gathered.
        """
        moments, inverse = problem.moments, None
        if products and (moments.n_samples > len(moments.x.mean) or problem.alpha > 0):
            inverse = InverseHessian.from_quadratic(problem.quadratic, problem.standard)
        return cls(inverse, inverse is not None and moments.error(inverse.inflation) <= digits)

    @classmethod
    def of_rows(cls, problem: Problem, digits: float, *, products: bool) -> "Known":
        """Factor the products or, where they have too few digits, the rows."""
        known = cls.of_moments(problem, digits, products=products)
        if known.moments_suffice:
            return known
        moments, standard, alpha = problem.moments, problem.standard, problem.alpha
        n, p = moments.n_samples, len(moments.x.mean)
        inverse: InverseCurvature | None = None
        if products and alpha == 0 and n > p and n * p * p >= COSTLY:
            inverse = inverse_of_collinear(problem.quadratic, problem.rows, moments, standard, STEP_ERROR)
        inverse = inverse or InverseHessian.from_rows(problem.rows, moments, standard, alpha)
        return cls(inverse, moments_suffice=False)

    @classmethod
    def of_steps(cls, problem: Problem, digits: float, *, products: bool) -> "Known":
        """Factor as `of_rows` does, for steps that leave out the directions of rounding.

        Where columns are collinear, the moments suffice then.
        """
        known = cls.of_rows(problem, digits, products=products)
        if known.moments_suffice or known.inverse is None or not products:
            return known
        return replace(known, moments_suffice=problem.moments.error(known.inverse.inflation) <= FIT_ERROR)

    @classmethod
    def of_spectrum(cls, problem: Problem, digits: float, *, products: bool) -> "Known":
        """Factor the products, without the eigenvalues that rounding may have made: there are no rows any more."""
        known = cls.of_moments(problem, digits, products=products)
        if known.moments_suffice or not products:
            return known
        spectrum = Spectrum.of(problem.quadratic, problem.moments, problem.standard, problem.rows.dtype)
        return cls(InverseHessian.from_spectrum(spectrum), True, spectrum)

    @property
    def basis(self) -> NDArray | None:
        """The basis in which columns are orthonormal, where they are too nearly collinear as they are, else None.

        Columns of which none varies are not: their coefficients stay where they are, in coordinates of their own.
        """
        if self.inverse is None or (self.moments_suffice and not self.inverse.is_singular):
            return None
        basis = self.inverse.basis
        return basis if basis is not None and basis.shape[1] else None

    def told(self, problem: Problem) -> Problem:
        """Return a problem that knows its spectrum, if that was computed."""
        return problem if self.spectrum is None else replace(problem, spectrum=self.spectrum)


Factoring = Callable[..., Known]
"""One of the functions that make a `Known`."""
