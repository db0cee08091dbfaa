from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.blocks import Table
from convnet_galaxies.data.human_grades import join_grades, name_subjects, read_crowd, read_grades
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.cutout_morphology import ARC, NOTHING, PATCH, RED
from convnet_galaxies.study.compare_with_humans import (
    CROWD_ALONE,
    EVERYONE,
    GRADED,
    compare_with_humans,
    find_kinds,
    judges_of,
)
from convnet_galaxies.study.human_report import agreement_table, missed_blocks

GOLDEN = Path(__file__).parents[1] / "golden"


def test_published_formats_are_read_as_they_are() -> None:
    grades = join_grades([GOLDEN / "grades.csv"], [GOLDEN / "crowd_catalog.txt", GOLDEN / "crowd_retired.txt"])
    assert grades.ids.tolist() == [f"ASW00000{end}" for end in ("a1", "a2", "a3", "a4", "a5", "b1", "b2")]
    # a2 was graded twice: its grade is the mean; a4 has none; the crowd dismissed b1 and b2.
    np.testing.assert_allclose(grades.grade, [3.0, 1.3, 0.0, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(grades.crowd, [0.9999999, 0.25, 0.9, 0.1, 0.9752075, 0.0, 0.0])


def test_candidates_of_one_field_keep_their_own_grades_where_their_images_are_there() -> None:
    grades = join_grades([GOLDEN / "grades.csv"], [GOLDEN / "crowd_catalog.txt"])
    images = pd.DataFrame({"id": ["CFHTLSJ010100-010000_ASW00000a2", "CFHTLSJ010100-010030_ASW00000a2"]})
    own = grades.choose(images)
    two = np.isin(own.ids, images["id"])
    assert own.grade[two].tolist() == [2.3, 0.3]
    assert own.crowd[two].tolist() == [0.25, 0.25]
    assert own.groups[two].tolist() == ["ASW00000a2", "ASW00000a2"]
    assert grades.choose(pd.DataFrame({"id": ["17_ASW00000a2"]})) is grades


def test_our_own_export_of_grades_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grades.csv"
    path.write_text("id,grader,grade,comment,time_utc\n007,ann,3,,2024-01-01\n007,bob,2,nice,2024-01-02\n")
    grades = join_grades([path], [])
    assert grades.ids.tolist() == ["007"]
    assert grades.grade.tolist() == [2.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zooid,flavour\na,b\n", "found columns zooid, flavour, expected one of"),
        ("zooid,grade\na,4\n", "column grade: found 4.*expected a number from 0 to 3"),
        ("zooid,crowd_probability\na,1.5\n", "expected a number from 0 to 1"),
    ],
)
def test_a_table_without_judgement_or_with_impossible_ones_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "grades.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_grades(path)


def test_a_line_that_is_no_subject_is_named(tmp_path: Path) -> None:
    path = tmp_path / "crowd.txt"
    path.write_text("# zooid P\nASW1 0.5 3 a.png\nASW2 many 3 b.png\n")
    with pytest.raises(InputError, match=r"line 3: found 'ASW2 many 3 b.png'"):
        read_crowd(path)
    path.write_text("# nothing\n\n")
    with pytest.raises(InputError, match="found no subject"):
        read_crowd(path)


def test_subjects_are_found_by_whatever_names_them() -> None:
    wanted = np.array(["ASW00000a1", "ASW00000a2"])
    by_column = pd.DataFrame({"id": ["x", "y"], "ZooID": ["ASW00000a2", "ASW00000a9"]})
    assert name_subjects(by_column, wanted).tolist() == ["ASW00000a2", "ASW00000a9"]
    within = pd.DataFrame({"id": ["CFHTLSJ01-01_ASW00000a1", "17_ASW00000a2@stage2"]})
    assert name_subjects(within, wanted).tolist() == ["ASW00000a1", "ASW00000a2"]
    itself = pd.DataFrame({"id": ["ASW00000a1", "other"]})
    assert name_subjects(itself, wanted).tolist() == ["ASW00000a1", "other"]
    with pytest.raises(InputError, match=r"found none of the 2 subjects .*expected the same ids"):
        name_subjects(pd.DataFrame({"id": ["p", "q"]}), wanted)


def make_cutouts(n: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    """Two cutouts of each of n subjects; the better one falls from 0.99 to 0.01, the other has a tenth of that."""
    subjects = [f"ASW{k:07d}" for k in range(n)]
    table = pd.DataFrame({"id": [f"{2 * k + j}_{s}" for k, s in enumerate(subjects) for j in range(2)]})
    probability = np.repeat(np.linspace(0.99, 0.01, n), 2) * np.tile([1.0, 0.1], n)
    return table, probability


def test_net_and_crowd_are_compared_on_graded_and_on_all_subjects(tmp_path: Path) -> None:
    table, probability = make_cutouts()
    subjects = np.array([f"ASW{k:07d}" for k in range(60)])
    grade = np.where(np.arange(60) < 20, 3.0, 0.0)
    crowd = np.where(np.arange(60) % 2 == 0, 0.9, 0.1)
    path = tmp_path / "grades.csv"
    graded = pd.DataFrame({"zooid": subjects, "expert_grade": grade, "crowd_probability": crowd})
    graded.loc[50:, "expert_grade"] = np.nan
    graded.to_csv(path, index=False)
    found = compare_with_humans(table, probability, join_grades([path], []), seed=0)
    assert (found.agreement[GRADED].n_lenses, found.agreement[GRADED].n_others) == (20, 30)
    assert (found.agreement[EVERYONE].n_lenses, found.agreement[EVERYONE].n_others) == (20, 40)
    # The best cutout of a subject counts, so that the net ranks all subjects as the grades do; the crowd guesses.
    judges = found.agreement[GRADED].judges
    assert judges["net"]["auroc"].value == 1.0
    assert judges["crowd"]["auroc"].value == pytest.approx(0.5)
    difference = found.agreement[GRADED].differences["net - crowd"]["auroc"]
    assert difference.low > 0.3
    assert difference.value == pytest.approx(0.5)
    notes = " ".join(agreement_table(GRADED, found.agreement[GRADED]).notes)
    n = sum(len(one) for one in found.agreement[GRADED].differences.values())
    assert f"{n} differences have 95 % intervals of their own" in notes
    assert f"about {max(1, round(n / 20))} of them would exclude 0" in notes
    # The net agrees with the grades, so that what it ranks lowest among lenses is still their last in order.
    assert found.missed[0].rank == 20
    assert found.missed[0].id == "38_ASW0000019"


def test_kinds_show_what_is_overlooked_and_what_is_taken_for_a_lens(tmp_path: Path) -> None:
    table, probability = make_cutouts()
    subjects = np.array([f"ASW{k:07d}" for k in range(60)])
    path = tmp_path / "grades.csv"
    number = np.arange(60)
    grade = np.where(number < 30, 3.0, 0.0)
    crowd = np.where(number < 30, 0.9, 0.1) + number / 1000
    pd.DataFrame({"zooid": subjects, "expert_grade": grade, "crowd_probability": crowd}).to_csv(path, index=False)
    of_subject = np.where(number < 20, ARC, np.where(number < 30, RED, np.where(number < 40, PATCH, NOTHING)))
    kind = of_subject[table["id"].str.extract(r"ASW(\d+)")[0].astype(int)]
    # The net likes what comes first but the patches best of all: it ranks the red lenses below all patches.
    first = np.where(kind == PATCH, 1.0, np.where(kind == RED, 0.05, probability))
    grades, asked = join_grades([path], []), []

    def kinds_of(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return kind[rows]

    report = compare_with_humans(table, first, grades, kinds_of=kinds_of, seed=0)
    assert asked == [60]  # the best cutout of each subject, though there are more cutouts
    assert judges_of(report.kinds) == ["net", "crowd"]
    found = {one.kind: one for one in report.kinds}
    assert {name: (one.lenses, one.others) for name, one in found.items()} == {
        ARC: (20, 0),
        PATCH: (0, 10),
        RED: (10, 0),
        NOTHING: (0, 20),
    }
    assert found[ARC].lenses_auroc["net"].value > found[RED].lenses_auroc["net"].value
    assert found[PATCH].others_auroc["net"].value < 0.01
    assert found[PATCH].lenses_auroc == {}
    assert found[RED].lenses_auroc["crowd"].value == 1
    shown = missed_blocks(report)[0]
    assert isinstance(shown, Table)
    assert shown.columns == ("", "lenses", "net", "crowd", "others", "net", "crowd")
    (of_red,) = [row for row in shown.rows if row[0] == RED]
    value, crowd_value = (found[RED].lenses_auroc[name] for name in ("net", "crowd"))
    assert of_red == (RED, "10", f"{value:.2f}", f"{crowd_value:.2f}", "0", "", "")
    without = compare_with_humans(table, first, grades, seed=0)
    assert without.kinds == ()
    assert missed_blocks(without)[0] is None


def test_pixels_without_a_scale_or_a_colour_have_no_kind() -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    assert find_kinds(pixels, Preprocess(crop_px=32, size_px=32)) is None
    assert find_kinds(pixels[..., :1], Preprocess(crop_px=32, size_px=32, bands=1, pixel_scale_arcsec=0.2)) is None
    assert find_kinds(pixels, Preprocess(crop_px=32, size_px=32, pixel_scale_arcsec=0.2)).tolist() == [NOTHING] * 2


def test_the_crowd_stands_in_where_nobody_graded(tmp_path: Path) -> None:
    table, probability = make_cutouts()
    path = tmp_path / "crowd.txt"
    path.write_text("".join(f"ASW{k:07d} {0.9 if k < 30 else 0.05} 9 a.png\n" for k in range(60)))
    found = compare_with_humans(table, probability, join_grades([], [path]), seed=0)
    assert list(found.agreement) == [CROWD_ALONE]
    assert found.agreement[CROWD_ALONE].judges["net"]["auroc"].value == 1.0
    assert "crowd" not in found.agreement[CROWD_ALONE].judges
    assert "intervals of their own" not in " ".join(agreement_table(CROWD_ALONE, found.agreement[CROWD_ALONE]).notes)


def test_grades_of_one_kind_give_a_remark_instead_of_figures(tmp_path: Path) -> None:
    table, probability = make_cutouts()
    path = tmp_path / "grades.csv"
    path.write_text("zooid,expert_grade\nASW0000001,3\nASW0000002,2.5\n")
    found = compare_with_humans(table, probability, join_grades([path], []), seed=0)
    assert not found.agreement
    assert any("0 of grade < 1, expected some of each" in remark for remark in found.remarks)


def test_grades_without_a_single_number_are_refused(tmp_path: Path) -> None:
    table, probability = make_cutouts()
    path = tmp_path / "grades.csv"
    path.write_text("zooid,expert_grade\nASW0000001,\nASW0000002,\nASW9999999,2\n")
    with pytest.raises(InputError, match="found neither a grade nor a probability of the 2 subjects"):
        compare_with_humans(table, probability, join_grades([path], []), seed=0)


def test_the_crowds_auroc_on_the_real_candidates_is_the_measured_one(shared_data: Path) -> None:
    folder = shared_data / "space-warps"
    grades = join_grades([folder / "candidates.csv"], [])
    table = pd.DataFrame({"id": pd.read_csv(folder / "candidates.csv")["file"].str.removesuffix(".png")})
    found = compare_with_humans(table, np.linspace(0.9, 0.1, len(table)), grades, seed=0).agreement[GRADED]
    # 43 candidates of grade 2 or more and 129 below 1; 15 fields have more than one.
    assert (found.n_subjects, found.n_lenses, found.n_others) == (217, 43, 129)
    assert found.judges["crowd"]["auroc"].value == pytest.approx(0.833, abs=0.001)
    lists = [folder / "crowd" / name for name in ("stage2_candidate_catalog.txt", "stage2_retired.txt")]
    everyone = join_grades([folder / "candidates.csv"], lists)
    assert len(everyone.ids) > 3600
    assert (everyone.crowd[np.isin(everyone.ids, lists[1].read_text().split())] < 1e-6).mean() > 0.9
