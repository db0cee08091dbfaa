"""The files of the page: complete, legible in both themes, and operable by keyboard and screen reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.scheme import COMMANDS, Scheme, read_scheme
from convnet_galaxies.inspection.server import STATIC

FOLDER = Path(__file__).parents[2] / "src" / "convnet_galaxies" / "inspection" / "static"
TEXTS = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}


def read_colors(theme: str) -> dict[str, str]:
    """The colours of a theme by their names."""
    css = TEXTS["inspect.css"]
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    light = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[0]))
    return light if theme == "light" else {**light, **dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[1]))}


def measure_contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""

    def luminance(color: str) -> float:
        parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_defined() -> None:
    assert measure_contrast("#000000", "#ffffff") == pytest.approx(21)
    assert measure_contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_and_edges_reach_the_contrast_of_level_aa(theme: str) -> None:
    color = read_colors(theme)
    for text, back in (
        ("ink", "back"),
        ("ink", "tint"),
        ("soft", "back"),
        ("soft", "tint"),
        ("accent", "back"),
        ("on-accent", "accent"),
        ("pick", "back"),
        ("back", "pick"),
        ("ink", "warn-back"),
    ):
        assert measure_contrast(color[text], color[back]) >= 4.5, (text, back)
    for edge in ("edge", "accent", "pick"):
        assert measure_contrast(color[edge], color["back"]) >= 3, edge


def test_every_file_of_the_page_is_served_and_every_import_is_there() -> None:
    assert set(TEXTS) == set(STATIC)
    for name, text in SCRIPTS.items():
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert imported in SCRIPTS, f"{name} imports {imported}"


def test_scripts_ask_for_elements_that_the_page_has() -> None:
    there = set(re.findall(r'id="([\w-]+)"', TEXTS["index.html"]))
    there |= set(re.findall(r'id: "([\w-]+)"', " ".join(SCRIPTS.values())))
    for name, text in SCRIPTS.items():
        for asked in re.findall(r'find\("([\w-]+)"\)', text):
            assert asked in there, f"{name} asks for #{asked}"


def test_every_field_and_button_of_the_page_has_a_name() -> None:
    page = TEXTS["index.html"]
    for tag, inside in re.findall(r"(<button[^>]*>)(.*?)</button>", page):
        assert inside.strip() or "aria-label" in tag, tag
    for field in re.findall(r"<(?:input|select|textarea|progress)[^>]*>", page):
        before = page[: page.index(field)]
        is_labelled = before.rfind("<label") > before.rfind("</label>")
        assert is_labelled or "aria-label" in field, field
    assert re.search(r'<html lang="en">', page)
    assert "aria-live" in page


def test_every_command_of_the_scheme_is_known_to_the_page() -> None:
    text = TEXTS["main.js"] + TEXTS["state.js"]
    for name in COMMANDS:
        assert re.search(rf'\b{name}: |name === "{name}"', text), name


def test_a_scheme_of_the_users_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "scheme.toml").write_text(
        '[[grades]]\nlabel = "yes"\nvalue = 3\nmeaning = "a lens"\nkeys = ["1", "y"]\n\n'
        '[[grades]]\nlabel = "no"\nvalue = 0\nkeys = ["2", "x"]\n\n'
        '[[kinds]]\nlabel = "spiral"\nkeys = ["s"]\n\n[commands]\nundo = ["Backspace"]\n'
    )
    scheme = read_scheme(tmp_path / "scheme.toml")
    assert [(one.label, one.value) for one in scheme.grades] == [("yes", 3), ("no", 0)]
    assert scheme.lowest.label == "no"
    assert scheme.keys_of("undo") == ("Backspace",)
    assert scheme.keys_of("next") == ("ArrowRight",)
    assert read_scheme(None) == Scheme()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[grades]]\nlabel = "A"\nvalue = 3\nkeys = ["1"]', "at least 2 items"),
        ('[[grades]]\nlabel = "A"\nvalue = 9\nkeys = ["1"]', "less than or equal to 3"),
        ('[commands]\nundoo = ["z"]', "'undoo', expected one of undo, pick"),
        ('[commands]\nundo = ["1"]', "the key '1' more than once"),
        ('[[kinds]]\nlabel = "A"\nkeys = ["z"]', "the label 'A' more than once"),
        ("colour = 3", "colour: Extra inputs"),
        ("= 3", "is no TOML file"),
    ],
)
def test_a_scheme_that_cannot_work_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "scheme.toml").write_text(text)
    with pytest.raises(InputError, match=fault):
        read_scheme(tmp_path / "scheme.toml")
