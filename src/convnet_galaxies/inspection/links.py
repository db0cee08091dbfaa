"""Addresses of a position on the sky in public viewers and archives; nothing is fetched from them here."""

from __future__ import annotations


def make_links(ra_deg: float, dec_deg: float) -> list[dict[str, str]]:
    """Return addresses of a position in the Legacy Surveys' viewer, Aladin Lite and NED."""
    ra, dec = f"{ra_deg:.6f}", f"{dec_deg:.6f}"
    return [
        {"name": "Legacy Surveys", "address": f"https://www.legacysurvey.org/viewer?ra={ra}&dec={dec}&zoom=16"},
        {
            "name": "Aladin Lite",
            "address": f"https://aladin.cds.unistra.fr/AladinLite/?target={ra}%20{dec}&fov=0.02",
        },
        {
            "name": "NED",
            "address": "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&in_csys=Equatorial"
            f"&in_equinox=J2000&ra={ra}d&dec={dec}d&radius=0.5",
        },
    ]
