"""Our ray tracing against lenstronomy (Birrer & Amara 2018): deflections, image positions, magnifications."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM

from convnet_galaxies.simulate.distances import comoving_distance_mpc
from convnet_galaxies.simulate.lens import (
    DarkHalo,
    Isothermal,
    LensSystem,
    deflect,
    solve_images,
)
from convnet_galaxies.simulate.lens_source import LensedSource

pytest.importorskip("lenstronomy", reason="lenstronomy is not installed; pip install lenstronomy")
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from lenstronomy.Util.param_util import phi_q2_ellipticity

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

LENS_REDSHIFT, SOURCE_REDSHIFT = 0.5, 2.0
SOURCE = LensedSource(0.0, 0.0, SOURCE_REDSHIFT, 24.0, ())
CASES = ("galaxy", "round galaxy", "group")


def make_pair(case: str) -> tuple[LensSystem, LensModel, list[dict[str, float]]]:
    galaxies = {
        "galaxy": (Isothermal(0.0, 0.0, 1.6, 0.7, 0.6),),
        "round galaxy": (Isothermal(0.0, 0.0, 1.2, 0.97, 1.4),),
        "group": (Isothermal(0.0, 0.0, 1.1, 0.8, 2.1), Isothermal(3.1, -2.2, 0.3, 0.75, 0.2)),
    }[case]
    shear = (0.04, -0.03)
    halo = DarkHalo(0.0, 0.0, 1.2e14, 7.0) if case == "group" else None
    radius = 3.5 if case == "group" else galaxies[0].einstein_radius_arcsec
    ours = LensSystem("", galaxies, halo, shear, SOURCE, (), 0.0, radius, LENS_REDSHIFT, 20.0)
    names, arguments = ["SHEAR"], [{"gamma1": shear[0], "gamma2": shear[1], "ra_0": 0.0, "dec_0": 0.0}]
    for galaxy in galaxies:
        e1, e2 = phi_q2_ellipticity(galaxy.angle_rad, galaxy.axis_ratio)
        place = {"center_x": galaxy.x_arcsec, "center_y": galaxy.y_arcsec}
        names.append("SIE")
        arguments.append({"theta_E": galaxy.einstein_radius_arcsec, "e1": e1, "e2": e2, **place})
    if halo is not None:
        scale, deflection = our_halo_for_lenstronomy(halo)
        names.append("NFW")
        arguments.append({"Rs": scale, "alpha_Rs": deflection, "center_x": 0.0, "center_y": 0.0})
    return ours, LensModel(names), arguments


def our_halo_for_lenstronomy(halo: DarkHalo) -> tuple[float, float]:
    """Scale radius and the deflection there, both in arcsec, by the definition of a halo of 200 times critical."""
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    density = cosmology.critical_density(LENS_REDSHIFT).to("Msun / Mpc3")
    radius = (3 * halo.mass_msun * units.Msun / (4 * np.pi * 200 * density)) ** (1 / 3)
    c = halo.concentration
    central = 200 / 3 * density * c**3 / (np.log(1 + c) - c / (1 + c))
    d_l = cosmology.angular_diameter_distance(LENS_REDSHIFT)
    d_s = cosmology.angular_diameter_distance(SOURCE_REDSHIFT)
    d_ls = cosmology.angular_diameter_distance_z1z2(LENS_REDSHIFT, SOURCE_REDSHIFT)
    critical = constants.c**2 / (4 * np.pi * constants.G) * d_s / (d_l * d_ls)
    kappa = float((central * radius / c / critical).decompose())
    scale = float((radius / c / d_l).decompose()) * 180 * 3600 / np.pi
    return scale, 4 * kappa * scale * (1 + np.log(0.5))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deflections_agree_to_a_thousandth(case: str, dtype: type) -> None:
    ours, theirs, arguments = make_pair(case)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-8, 8, (2, 4000)).astype(dtype)
    ax, ay = deflect(ours, x, y)
    bx, by = theirs.alpha(x.astype(float), y.astype(float), arguments)
    size = np.hypot(bx, by)
    assert np.max(np.hypot(ax - bx, ay - by) / size) < 1e-3


@pytest.mark.parametrize("case", CASES)
def test_image_positions_and_magnifications_agree_to_a_thousandth(case: str) -> None:
    ours, theirs, arguments = make_pair(case)
    solver = LensEquationSolver(theirs)
    rng = np.random.default_rng(1)
    compared = 0
    for _ in range(25):
        x, y = rng.uniform(-0.35, 0.35, 2) * ours.einstein_radius_arcsec
        found = solve_images(ours, x, y)
        bx, by = solver.image_position_from_source(
            x, y, arguments, min_distance=0.1, search_window=30, precision_limit=1e-10, num_iter_max=200
        )
        magnification = theirs.magnification(bx, by, arguments)
        strong = np.abs(magnification) > 0.05
        assert len(found[np.abs(found[:, 2]) > 0.05]) == strong.sum()
        for image in np.column_stack([bx, by, magnification])[strong]:
            nearest = found[np.argmin(np.hypot(found[:, 0] - image[0], found[:, 1] - image[1]))]
            assert np.hypot(*(nearest[:2] - image[:2])) < 1e-3
            assert nearest[2] == pytest.approx(image[2], rel=1e-3)
            compared += 1
    assert compared > 40


def test_distances_are_those_of_astropy() -> None:
    redshift = np.array([0.2, 0.5, 1.7, 5.9])
    expected = FlatLambdaCDM(H0=70, Om0=0.3).comoving_distance(redshift).value
    np.testing.assert_allclose(comoving_distance_mpc(redshift), expected, rtol=1e-4)
