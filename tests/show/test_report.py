from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import few_resamples, make_cutouts, make_lens_pack, make_study, make_zoo_pack

from convnet_galaxies.blocks import Page, Table, Text, write_cell
from convnet_galaxies.data.output import as_plain
from convnet_galaxies.data.pack import read_pack, write_set
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError
from convnet_galaxies.predict.evaluation import evaluate
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.settings import NetSettings, Settings, SplitSettings, TrainSettings
from convnet_galaxies.show.lens_sections import Survey
from convnet_galaxies.show.report import find_kind, write_report
from convnet_galaxies.study.results import read_results
from convnet_galaxies.study.study_report import study_report
from convnet_galaxies.study.unknown_report import unknown_report
from convnet_galaxies.study.unknown_run import read_unknown, study_unknown
from convnet_galaxies.training.fit import fit

SETTINGS = Settings(
    net=NetSettings(widths=(8, 16), depths=(1, 1), input_px=24),
    train=TrainSettings(epochs=2, batch=16, precision="fp32"),
    split=SplitSettings(train=0.4, validation=0.3, test=0.3),
)


class Reader(HTMLParser):
    """Collects what a page loads, links to and names."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        elif tag == "a":
            self.links.append(values.get("href") or "")
        elif tag in ("script", "link", "iframe", "object", "embed", "video", "audio", "source", "base", "form"):
            self.loads.append(tag)
        if "id" in values:
            self.names.add(values["id"] or "")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(path: Path) -> Reader:
    """Parse a report and check what holds for each: it is well nested, stands alone and says what its images show."""
    html = path.read_text("utf-8")
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert reader.loads == []
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "@media print" in style
    assert "max-width" in style
    assert all(link.startswith("#") and link[1:] in reader.names for link in reader.links)
    assert reader.images
    for image in reader.images:
        assert re.match(r"data:image/(png|svg\+xml);base64,", image["src"] or "")
        assert len(image["alt"] or "") > 5
        data = base64.b64decode((image["src"] or "").split(",")[1])
        assert data.startswith(b"\x89PNG") or b"<svg" in data[:600]
        loaded = re.findall(rb'(?:href|src)="(http[^"]*)"', data)
        assert not loaded
    assert path.stat().st_size < 10_000_000
    assert not re.search(r"\bnan\b", reader.text, re.IGNORECASE)
    return reader


def assert_shown(report: Page, page: Reader) -> None:
    """Every sentence, text and cell of the plain text is on the page."""
    plain = report.text()
    texts = list(report.lead)
    for block in (block for section in report.sections for block in section.blocks):
        if isinstance(block, Text):
            texts.append(block.text)
        elif isinstance(block, Table):
            cells = [write_cell(cell) for row in block.rows for cell in row]
            texts += [block.title, *block.columns, *cells, *block.notes]
    for text in texts:
        assert text in page.text
        assert text in plain


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack, a run that answers lens and flavor, and an answer about unknown images."""
    folder = tmp_path_factory.mktemp("report")
    pack = make_lens_pack(folder / "data")
    fit(read_pack(pack), SETTINGS, folder / "run", tasks=("lens", "flavor"), device="cpu")
    grades = folder / "grades.csv"
    names = sorted(read_pack(pack).table.query("lens != lens")["ZooID"].unique())
    rows = [f"{name},{3.0 if k % 2 else 0.0},{0.9 if k % 3 else 0.2}" for k, name in enumerate(names)]
    grades.write_text("zooid,expert_grade,crowd_probability\n" + "\n".join(rows) + "\n")
    predictor = Predictor(folder / "run", device="cpu", precision="fp32")
    with few_resamples():  # how wide the intervals are is no matter here
        study_unknown(predictor, pack, folder / "unknown", grades=[grades], plan=10)
    return folder


def test_report_of_a_run_stands_alone_and_compares_with_nothing_published(made: Path) -> None:
    path = made / "run.html"
    summary = write_report(
        made / "run",
        path,
        pack=made / "data" / "lenses.pack",
        truth=made / "data" / "truth.csv",
        part="heldout",
        views=1,
        device="cpu",
    )
    page = read_page(path)
    assert summary.kind == "run"
    for words in ("first user", "published", "0.07492", "winner"):
        assert words not in page.text
    assert "Finding lenses" in summary.sections
    assert "Flavors" in summary.sections
    alts = " ".join(image["alt"] or "" for image in page.images)
    for words in ("ROC curve", "Completeness against purity", "Reliability", "Einstein radius", "Learning curves"):
        assert words in alts
    assert "False positives: " in alts
    assert "completeness by flavor at the same cuts" in page.text
    assert "run, calibrated: expected calibration error" in alts
    assert "convnet-galaxies train" in page.text
    assert "[net]" in page.text


def test_report_of_a_run_without_pixels_says_what_is_missing(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    write_report(made / "run", path, device="cpu")
    assert "Without --pack the report has no figures on held-out images" in read_page(path).text


def test_report_and_unknown_refuse_a_pack_that_evaluate_refuses(made: Path, tmp_path: Path) -> None:
    predictor = Predictor(made / "run", device="cpu", precision="fp32")
    pack = tmp_path / "narrow.pack"
    images = read_pack(made / "data" / "lenses.pack")
    narrow = images.preprocess.model_copy(update={"crop_px": 60})
    write_set(replace(images, images=np.array(images.images), preprocess=narrow), pack)
    for score in (
        lambda: evaluate(predictor, read_pack(pack), part="heldout"),
        lambda: write_report(made / "run", tmp_path / "x.html", pack=pack, part="heldout", device="cpu"),
        lambda: study_unknown(predictor, pack, tmp_path / "unknown"),
        lambda: study_unknown(predictor, made / "data" / "lenses.pack", tmp_path / "unknown", known=pack),
    ):
        with pytest.raises(InputError, match="crop_px 60 instead of") as refused:
            score()
        assert "`pack space-warps --like" in refused.value.fix
    assert {path.name for path in tmp_path.iterdir()} == {"narrow.pack"}


def test_report_of_a_stage_that_the_pack_lacks_is_refused_as_evaluate_refuses_it(made: Path, tmp_path: Path) -> None:
    images = read_pack(made / "data" / "lenses.pack")
    pixels = np.array(images.images)
    for name, table in (("none", images.table.drop(columns="stage")), ("one", images.table.assign(stage=1))):
        write_set(replace(images, images=pixels, table=table), tmp_path / f"{name}.pack")
    predictor = Predictor(made / "run", device="cpu", precision="fp32")
    for name, expected in (("none", "--stage: the pack has no column 'stage'"), ("one", "--stage 2: found only")):
        pack = tmp_path / f"{name}.pack"
        with pytest.raises(InputError, match=expected) as refused:
            evaluate(predictor, read_pack(pack), stage=2)
        with pytest.raises(InputError, match=expected) as in_report:
            write_report(made / "run", tmp_path / "x.html", pack=pack, stage=2, device="cpu")
        assert str(in_report.value) == str(refused.value)


def test_report_of_unknown_images_says_how_many_and_whether_to_believe_it(made: Path) -> None:
    path = made / "unknown.html"
    write_report(made / "unknown", path)
    page, result = read_page(path), read_unknown(made / "unknown")
    assert result.sentence in page.text
    assert result.trust.sentence in page.text
    assert "holds no inclusion probabilities of a plan" in page.text
    assert "plan.csv lists the 10 images to grade" in page.text
    assert "Comparison with human grades" in page.text
    assert_shown(unknown_report(result), page)
    assert (made / "unknown" / "unknown.txt").read_text("utf-8") == unknown_report(result).text() + "\n"
    pictures = [image for image in page.images if "Best first" in (image["alt"] or "")]
    assert len(pictures) == min(24, result.n_unknown)


def test_a_result_with_the_former_name_of_the_human_comparison_is_read(made: Path, tmp_path: Path) -> None:
    (text,) = (path.read_text("utf-8") for path in (made / "unknown").glob("*.json"))
    assert text.count('"human_comparison": {') == 1
    (path,) = (tmp_path / path.name for path in (made / "unknown").glob("*.json"))
    path.write_text(text.replace('"human_comparison": {', '"eyes": {'), "utf-8")
    assert as_plain(read_unknown(tmp_path)) == as_plain(read_unknown(made / "unknown"))


def test_a_plan_that_was_graded_leads_the_report_and_is_never_overwritten(made: Path, tmp_path: Path) -> None:
    pack, plan = made / "data" / "lenses.pack", pd.read_csv(made / "unknown" / "plan.csv")
    assert plan["grade"].isna().all()
    filled = tmp_path / "answer" / "plan.csv"
    filled.parent.mkdir()
    plan.assign(grade=np.arange(10) % 4).to_csv(filled, index=False)
    predictor = Predictor(made / "run", device="cpu", precision="fp32")
    with few_resamples():
        result = study_unknown(predictor, pack, tmp_path / "again", grades=[filled])
    assert result.graded is not None
    assert result.graded.n_graded == 10
    assert result.graded.top
    assert result.human_comparison is None
    write_report(tmp_path / "again", tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    assert "by grades of 10 of them that were drawn by a plan" in page.text
    assert "From graded images" in page.text
    assert read_unknown(tmp_path / "again").graded == result.graded
    with pytest.raises(UsageError, match=r"found 1,000,000 images to grade of \d+"):
        study_unknown(predictor, pack, tmp_path / "more", plan=1_000_000)
    with pytest.raises(InputError, match="found grades, expected none in a folder that is replaced"):
        study_unknown(predictor, pack, filled.parent, grades=[filled], force=True)


def test_report_of_a_study_answers_in_one_sentence(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(60, np.random.default_rng(0)))
    path = tmp_path / "study.html"
    summary = write_report(folder, path)
    page = read_page(path)
    assert summary.kind == "study"
    assert re.search(
        r"On stage 1, transfer from zoo changes the log loss by -0\.\d+ \(.* to .*\) at 100 % of the labels: better",
        page.text,
    )
    assert "Rates and epochs chosen on the validation part" in summary.sections
    assert "Bias of a leaking split" in summary.sections
    assert "ublished" not in page.text, "figures of other images and splits are no comparison"
    assert "pass --pack" in page.text
    assert_shown(study_report(read_results(folder)), page)


def test_report_of_a_demo_shows_both_data_sets_and_every_run(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    zoo = make_zoo_pack(tmp_path / "galaxies").rename(tmp_path / "zoo.pack")
    folder.mkdir()
    (folder / "zoo.pack").symlink_to(zoo)
    (folder / "lenses.pack").symlink_to(made / "data" / "lenses.pack")
    (folder / "unknown").symlink_to(made / "unknown")
    fit(read_pack(zoo), SETTINGS, folder / "runs" / "zoo", tasks=("votes",), device="cpu")
    fit(read_pack(folder / "lenses.pack"), SETTINGS, folder / "runs" / "stage1-scratch", tasks=("lens",), device="cpu")
    for name in ("stage1-from-zoo", "stage2-scratch", "stage2-from-zoo"):
        (folder / "runs" / name).symlink_to(folder / "runs" / "stage1-scratch")
    summary = write_report(folder, tmp_path / "demo.html", views=1, device="cpu")
    page = read_page(tmp_path / "demo.html")
    assert summary.kind == "demo"
    assert {"Galaxy Zoo votes", "Finding lenses", "How many lenses", "Training"} <= set(summary.sections)
    assert "always the mean votes" in page.text
    for words in ("first user", "published", "0.07492", "winner"):
        assert words not in page.text
    assert "convnet-galaxies demo" in page.text


def test_same_source_gives_the_same_page(made: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(made / "unknown", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_wrong_sources_and_surveys_are_refused_before_anything_is_written(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found a folder with none of their files"):
        find_kind(tmp_path)
    with pytest.raises(InputError, match="found no such folder"):
        write_report(tmp_path / "nothing", tmp_path / "x.html")
    pack = made / "data" / "lenses.pack"
    with pytest.raises(UsageError, match="expected a prevalence between 0 and 1"):
        write_report(
            made / "run", tmp_path / "x.html", pack=pack, part="heldout", views=1, device="cpu", survey=Survey(9, 5)
        )
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.html").write_text("mine")
    with pytest.raises(OutputExistsError, match="already exists"):
        write_report(made / "unknown", tmp_path / "x.html")


def test_grades_of_other_subjects_are_refused(made: Path, tmp_path: Path) -> None:
    grades = tmp_path / "grades.csv"
    grades.write_text("zooid,expert_grade\nASWzzzzzz1,3\n")
    predictor = Predictor(made / "run", device="cpu", precision="fp32")
    with pytest.raises(InputError, match="found none of the 1 subjects"):
        study_unknown(predictor, made / "data" / "lenses.pack", tmp_path / "out", grades=[grades])
    assert not (tmp_path / "out").exists()
