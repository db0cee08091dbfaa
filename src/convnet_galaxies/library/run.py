"""A trained run in a notebook: predict, evaluate, calibrate, embed, report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Page, Plot, Section
from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.library.warn import warn_of
from convnet_galaxies.model.device import Device
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.calibrate import Method, calibrate
from convnet_galaxies.predict.embeddings import Embeddings, embed_source, read_embeddings, read_facts
from convnet_galaxies.predict.evaluation import Evaluation, Part, evaluate
from convnet_galaxies.predict.evaluation_report import evaluation_report
from convnet_galaxies.predict.explain import Explanation, open_explainer
from convnet_galaxies.predict.explain import Method as ExplainMethod
from convnet_galaxies.predict.fit_familiarity import fit_familiarity
from convnet_galaxies.predict.neighbours import By, find_neighbours, rank_unusual
from convnet_galaxies.predict.predictor import Predictor, Views
from convnet_galaxies.predict.sources import Source
from convnet_galaxies.predict.stream import predict_tables
from convnet_galaxies.runs.card import ModelCard, read_card
from convnet_galaxies.runs.describe import describe_run
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.settings import Settings, load_settings
from convnet_galaxies.show.feature_map import FeatureMap, map_features, write_map
from convnet_galaxies.show.figures import plot_learning
from convnet_galaxies.show.report import ReportSummary, write_report
from convnet_galaxies.show.run_page import Context, task_sections


def load(run: StrPath, *, device: Device = "auto") -> Run:
    """Return a run to work with.

    run: the folder of a run or ensemble, or ``builtin:NAME``. device: ``auto`` takes a GPU where there is one.
    Raises InputError when it is no finished run.
    """
    read_card(run)
    return Run(os.fspath(run), device)


@dataclass(frozen=True)
class Run:
    """A finished run, or an ensemble of runs; its weights are read when they are first needed.

    name: its folder, or ``builtin:NAME``. device: ``auto``, ``cpu`` or ``cuda``.
    Images are given as a pack, folder, zip or image file, as a list of files, as an image set, or as pixels
    [n, h, w] or [n, h, w, bands], whose first row is the top: uint8 for pictures, other numbers for linear images.
    """

    name: str
    device: Device = "auto"
    _predictors: dict[tuple[Views | None, bool], Predictor] = field(default_factory=dict, repr=False, compare=False)

    def __fspath__(self) -> str:
        """Return the name, so that a run is taken wherever its folder is."""
        return self.name

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return run_path(self.name)

    @property
    def card(self) -> ModelCard:
        """Model card of the network: input, tasks, calibration and ancestry."""
        return read_card(self.name)

    @property
    def settings(self) -> Settings:
        """Training settings of the run. Raises InputError if they were not kept."""
        return load_settings(RunFolder(self.path).settings)

    @property
    def metrics(self) -> pd.DataFrame:
        """Losses of the training, one row per epoch. Raises InputError where they were not kept."""
        return read_table(RunFolder(self.path).metrics)

    def predictor(self, views: Views | None = None, *, grey: bool = False) -> Predictor:
        """Return the predictor behind the run, for pixels that are packed already; views, grey: see `predict`."""
        if (views, grey) not in self._predictors:
            self._predictors[views, grey] = Predictor(self.name, device=self.device, views=views, grey=grey)
        return self._predictors[views, grey]

    def predict(
        self,
        images: Source,
        *,
        views: Views | None = None,
        grey: bool = False,
        skip_bad: bool = False,
        **reading: Any,
    ) -> pd.DataFrame:
        """Return the predictions, one row per image in input order.

        views: 1, 8 or 16 views of each image that are averaged (test-time augmentation); None takes the run's own.
        grey: show it the mean of the bands, as for a survey of unknown colours; then without calibration, familiarity.
        skip_bad: leave out images that cannot be used. reading: fields of ReadOptions, such as pixel_scale_arcsec.
        The columns are id, those of the tasks (the vote fractions, lens_probability, flavor_NAME), familiarity where
        the run has it, and masked_fraction for linear images. Each problem becomes an InputWarning. Sentences on how
        linear images were read are in the table's ``attrs["facts"]``.
        Raises InputError for images that do not fit the run, BadImageError for one that cannot be used.
        """
        notes, skipped = InputNotes(), list[str]()
        tables = predict_tables(
            self.predictor(views, grey=grey),
            images,
            skip_bad=skip_bad,
            reading=ReadOptions(**reading),
            skipped=skipped,
            notes=notes,
        )
        with closing(tables):
            table = pd.concat(list(tables), ignore_index=True)
        warn_of((*notes.warnings(), *(f"left out: {text}" for text in skipped)))
        table.attrs["facts"] = notes.facts()
        return table

    def embed(self, images: ImageSet, *, views: Views = 1) -> pd.DataFrame:
        """Return the features (embeddings, input of the heads) by id, one row per image: float32 [n, features].

        Raises InputError if the image set was not preprocessed as the images of the run were.
        """
        found = self.predictor(views).predict_set(images)
        return pd.DataFrame(found.features, index=pd.Index(images.table["id"].astype(str), name="id"))

    def features(self, images: Source, *, views: Views | None = None, skip_bad: bool = False) -> Embeddings:
        """Return the features of any source of images, or those of a file that `predict --embeddings` wrote.

        views, skip_bad: see `predict`. Raises InputError for images that do not fit the run, or features of other
        weights.
        """
        if isinstance(images, str | os.PathLike) and read_facts(images) is not None:
            return read_embeddings(images, run=self.name)
        notes, skipped = InputNotes(), list[str]()
        found = embed_source(self.predictor(views), images, skip_bad=skip_bad, skipped=skipped, notes=notes)
        warn_of((*notes.warnings(), *(f"left out: {text}" for text in skipped)))
        return found

    def similar(self, images: Source | Embeddings, to: str | Sequence[str], *, number: int = 20) -> pd.DataFrame:
        """Return the images that look most like the one of an id, or of several: columns id and similarity.

        images: the result of `features`, or what that takes. similarity: cosine, at most 1 (measure/similarity.py).
        Raises InputError for an id that none of the images has.
        """
        found = images if isinstance(images, Embeddings) else self.features(images)
        return find_neighbours(found, [to] if isinstance(to, str) else list(to), number=number)

    def unusual(self, images: Source | Embeddings, *, by: By | None = None, number: int = 20) -> pd.DataFrame:
        """Return the images that look most unusual: columns id, and familiarity or isolation.

        images: see `similar`. by: ``familiarity`` (compared with the known images of the run), ``isolation`` (among
        these images), or None for the first where the run has it.
        """
        found = images if isinstance(images, Embeddings) else self.features(images)
        return rank_unusual(found, self.name, by=by, number=number)

    def map(
        self,
        images: StrPath | ImageSet,
        output: StrPath,
        *,
        number: int = 3000,
        seed: int = 0,
        skip_bad: bool = False,
        force: bool = False,
    ) -> FeatureMap:
        """Write the page with the two-dimensional map of the last layer (t-SNE), and return its places and table.

        number: largest number of images; of more, a random sample is drawn by the seed.
        """
        skipped: list[str] = []
        found = map_features(self.predictor(None), images, number=number, seed=seed, skip_bad=skip_bad, skipped=skipped)
        warn_of(f"left out: {text}" for text in skipped)
        write_map(found, output, force=force)
        return found

    def explain(
        self, pixels: np.ndarray, target: str | None = None, *, method: ExplainMethod = "integrated-gradients"
    ) -> Explanation:
        """Return the map of what an answer rests on.

        pixels: of one packed image, uint8 [h, w, bands]. target: a column of the predictions; None takes the lens
        probability, else the likeliest answer. method: ``integrated-gradients`` or ``occlusion``.
        Raises InputError for other pixels, or without the extra ``explain``.
        """
        return open_explainer(self.name).explain(pixels, target, method=method)

    def evaluate(
        self, images: ImageSet, *, part: Part = "test", stage: int | None = None, views: Views = 8, seed: int = 0
    ) -> NotebookEvaluation:
        """Return the scores on images on which the run was not trained, each with its 95 % interval.

        part: ``test``, ``validation`` or ``heldout`` (both). stage: of Space Warps.
        Raises InputError when the images do not fit the run, have no label for its tasks, or none is held out.
        """
        found = evaluate(self.predictor(views), images, part=part, stage=stage, seed=seed)
        return NotebookEvaluation(**{one.name: getattr(found, one.name) for one in fields(found)})

    def calibrate(
        self,
        images: ImageSet,
        output: StrPath,
        *,
        method: Method = "logistic",
        prevalence: float | None = None,
        part: Part = "heldout",
        seed: int = 0,
        force: bool = False,
    ) -> Run:
        """Write a copy of the run whose lens probabilities are calibrated on held-out images, and return it.

        method: ``logistic`` or ``isotonic``. prevalence: fraction of lenses for which to calibrate; None takes
            that of the images. part: see `evaluate`.
        Raises InputError for too few held-out lenses or others.
        """
        options: dict[str, Any] = {"method": method, "prevalence": prevalence, "part": part, "seed": seed}
        found = calibrate(self.predictor(8), images, output, force=force, **options)
        warn_of([found.calibration.caution] if found.calibration.caution else [])
        return load(output, device=self.device)

    def learn_familiarity(self, images: ImageSet, *, seed: int = 0, force: bool = False) -> Run:
        """Fit the familiarity of images to the run (an out-of-distribution score), and write it into its folder.

        images: all images on which the run was trained. Predictions then have the column familiarity.
        Raises InputError for too few images, or weights that ship with the package.
        """
        fit_familiarity(self.name, images, device=self.device, seed=seed, force=force)
        return load(self.name, device=self.device)

    def plot(self) -> Plot:
        """Return the learning curves. Raises InputError where the run kept none."""
        return plot_learning({self.path.name: self.metrics})

    def _repr_html_(self) -> str:
        found = describe_run(self.path)
        page = Page(f"Run {self.name}", found.lines, (), (Section(f"Run {self.name}", found.tables),))
        return page.html()


@dataclass(frozen=True)
class NotebookEvaluation(Evaluation):
    """Scores of a run on held-out images; a notebook shows them as tables."""

    def page(self) -> Page:
        """Return the scores in words and tables."""
        return evaluation_report(self)

    def plot(self) -> Page:
        """Return the drawings that a report has of these scores, such as ROC curve and confusion matrix."""
        context = Context(Path(self.run).name)
        sections = [one for scored in self.tasks.values() for one in task_sections(scored, context) if one is not None]
        drawings = [block for one in sections for block in one.blocks if isinstance(block, Plot)]
        return Page("Drawings", (), (), (Section(f"{self.run} on held-out images", tuple(drawings)),))

    def _repr_html_(self) -> str:
        return self.page().html()


def report(source: StrPath, output: StrPath, **options: Any) -> ReportSummary:
    """Write the HTML report of a run, a study, a demo, or a result of `estimate_lenses`.

    source: a run, its folder, ``builtin:NAME``, or the folder of the others. output: the page.
    options: those of show.report.write_report; ``pack`` gives the scores and galleries of a run.
    Raises InputError when source is none of these, OutputExistsError unless force.
    """
    return write_report(os.fspath(source), output, **options)
