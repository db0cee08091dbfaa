"""A report as one HTML page."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from convnet_galaxies import __version__
from convnet_galaxies.blocks import Page


def render_page(page: Page) -> str:
    """Render the page as one HTML text that loads nothing from elsewhere."""
    environment = Environment(
        loader=PackageLoader("convnet_galaxies.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("convnet_galaxies.show") / "static" / "report.css").read_text("utf-8")
    return environment.get_template("report.html.j2").render(page=page, style=style, version=__version__)
