"""Clicks to cutouts: clusters computed by hand, stamps at edges, the alpha rule, names and columns, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.data.click_clusters import (
    CATALOG_COLUMNS,
    cluster_clicks,
    cut_stamp,
    measure_clusters,
    shows_painted,
)
from convnet_galaxies.data.markers import cut_markers
from convnet_galaxies.errors import InputError, OutputExistsError

# The columns of the published catalogue, typed from its description.
REAL_COLUMNS = [
    *("ID", "ZooID", "location", "mean_probability", "category", "kind", "flavor", "state", "status", "truth", "stage"),
    *("object_id", "x", "y", "markers_in_object", "skill_sum", "markers_in_field", "people_marking_objects"),
    *("people_marking_field", "people_looking_at_field", "object_size", "alpha", "cutoutname"),
]


def click(volunteer: str, x: float, y: float, **more: object) -> dict:
    return {"ZooID": "ASW0000001", "volunteer": volunteer, "x": x, "y": y, "skill": 1.0, **more}


def field_of_noise(seed: int, size_px: int = 440, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (size_px, size_px, bands), dtype=np.uint8)


@pytest.fixture
def fields_dir(tmp_path: Path) -> Path:
    """One training field whose painted features fill rows 100-109 and columns 200-219, and one test field."""
    folder = tmp_path / "fields"
    folder.mkdir()
    sim = field_of_noise(0, bands=4)
    sim[..., 3] = 0
    sim[100:110, 200:220, 3] = 255
    Image.fromarray(sim).save(folder / "ASW0000001.png")
    Image.fromarray(field_of_noise(1)).save(folder / "ASW0000002.png")
    return folder


def fields_table() -> pd.DataFrame:
    rows = [
        ("ASW0000001", "training", "sim", "lensed quasar", "LENS", 1),
        ("ASW0000002", "test", "test", "test", "UNKNOWN", 2),
    ]
    return pd.DataFrame(rows, columns=["ZooID", "category", "kind", "flavor", "truth", "stage"])


def markers_table() -> pd.DataFrame:
    """Clusters by hand: field 1 at (205, 104) with 4 clicks of 3 people, at (20, 430) with 3; field 2 at (300, 200)."""
    sim = [
        click("a", 200, 100),
        click("b", 210, 108),
        click("c", 206, 104),
        click("d", 204, 104),
        click("e", 20, 429),
        click("f", 20, 430),
        click("g", 20, 431),
        click("h", 400, 30),
    ]
    test = [click(v, x, 200.0, ZooID="ASW0000002", stage=2) for v, x in (("a", 299), ("b", 300), ("z", 301))]
    return pd.DataFrame([{"stage": 1, **row} for row in sim] + test)


def test_three_volunteers_within_thirty_pixels_make_a_cluster_and_two_do_not() -> None:
    x, y = np.array([10.0, 40.0, 10.0, 300.0, 300.0]), np.array([10.0, 10.0, 40.0, 300.0, 310.0])
    # The first click has the two others at exactly 30 px, so it is a core; they are within reach of it only.
    assert cluster_clicks(x, y, np.array(list("abcde"))).tolist() == [0, 0, 0, -1, -1]
    assert cluster_clicks(x + np.array([0, 0.01, 0, 0, 0]), y, np.array(list("abcde"))).tolist() == [-1] * 5


def test_the_clicks_of_one_volunteer_weigh_one_together() -> None:
    x, y = np.array([10.0, 11.0, 12.0, 13.0]), np.zeros(4)
    assert cluster_clicks(x, y, np.array(list("aabc"))).tolist() == [0, 0, 0, 0]  # 1/2 + 1/2 + 1 + 1 = 3
    assert cluster_clicks(x, y, np.array(list("aabb"))).tolist() == [-1] * 4  # 4 clicks that weigh 2
    # Volunteer a's third click lies far away, so that the two near ones weigh 2/3 only: 2.67 < 3.
    far_x, far_y = np.append(x, 400.0), np.append(y, 400.0)
    assert cluster_clicks(far_x, far_y, np.array(list("aabca"))).tolist() == [-1] * 5


def test_thirds_of_clicks_add_to_whole_volunteers() -> None:
    x = np.tile([10.0, 12.0, 14.0], 3)
    assert cluster_clicks(x, np.zeros(9), np.repeat(list("abc"), 3)).tolist() == [0] * 9


def test_a_chain_of_dense_clicks_is_one_cluster_as_by_brute_force() -> None:
    rng = np.random.default_rng(4)
    x, y, who = rng.uniform(0, 440, 90), rng.uniform(0, 440, 90), rng.integers(0, 60, 90)
    labels = cluster_clicks(x, y, who)
    near = np.hypot(x[:, None] - x, y[:, None] - y) <= 30
    weight = 1 / np.bincount(who)[who]
    core = near @ weight >= 3 - 1e-9
    assert core.any()
    assert (labels[core] >= 0).all()
    assert ((labels >= 0) == (near & core).any(axis=1)).all()
    assert all(labels[i] == labels[j] for i, j in zip(*np.nonzero(near & core & core[:, None]), strict=True))


def test_cluster_figures_equal_those_computed_by_hand() -> None:
    row = measure_clusters(markers_table().query("stage == 1")).iloc[0]
    assert (row["x"], row["y"]) == (205, 104)
    assert row["markers_in_object"] == 4
    assert row["markers_in_field"] == 8
    assert row["people_marking_objects"] == 4
    assert row["people_marking_field"] == 8
    assert row["skill_sum"] == 4
    # Distances squared: 25 + 16, 25 + 16, 1, 1.
    assert row["object_size"] == pytest.approx(np.sqrt((41 + 41 + 1 + 1) / 4), abs=1e-12)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (439.9, 3.2), (20.5, 430.0), (220.0, 439.0), (5.0, 439.0)])
def test_stamps_are_the_field_padded_with_zeros(x: float, y: float) -> None:
    field = field_of_noise(2, bands=4)
    padded = np.pad(field, ((96, 96), (96, 96), (0, 0)))
    top, left = int(np.floor(y - 48)) + 96, int(np.floor(x - 48)) + 96
    stamp = cut_stamp(field, x, y)
    assert stamp.shape == (96, 96, 4)
    assert (stamp == padded[top : top + 96, left : left + 96]).all()


def test_one_opaque_pixel_makes_alpha_one_and_half_opaque_ones_do_not() -> None:
    stamp = np.zeros((96, 96, 4), np.uint8)
    stamp[..., 3] = 254
    assert shows_painted(stamp) == 0
    stamp[95, 0, 3] = 255
    assert shows_painted(stamp) == 1
    assert shows_painted(np.full((96, 96, 3), 255, np.uint8)) == 0


def test_the_catalogue_has_the_real_columns_and_the_stamps_the_real_names(fields_dir: Path, tmp_path: Path) -> None:
    catalog = cut_markers(fields_dir, markers_table(), tmp_path / "out", fields=fields_table())
    written = pd.read_csv(tmp_path / "out" / "cluster_catalog.csv")
    assert list(CATALOG_COLUMNS) == REAL_COLUMNS
    assert list(written.columns) == REAL_COLUMNS
    names = ["0_ASW0000001.png", "1_ASW0000001.png", "2_ASW0000002.png"]
    assert catalog["cutoutname"].tolist() == written["cutoutname"].tolist() == names
    assert sorted(path.name for path in (tmp_path / "out" / "cutouts_good").iterdir()) == names
    assert written["alpha"].tolist() == [1, 0, 0]
    assert written["truth"].tolist() == ["LENS", "LENS", "UNKNOWN"]
    assert written["stage"].tolist() == [1, 1, 2]
    assert written[["x", "y"]].to_numpy().tolist() == [[205, 104], [20, 430], [300, 200]]


def test_stamps_keep_the_bands_of_their_field(fields_dir: Path, tmp_path: Path) -> None:
    cut_markers(fields_dir, markers_table(), tmp_path / "out", fields=fields_table())
    modes = {}
    for path in (tmp_path / "out" / "cutouts_good").iterdir():
        with Image.open(path) as stamp:
            modes[path.name] = stamp.mode
    assert modes == {"0_ASW0000001.png": "RGBA", "1_ASW0000001.png": "RGBA", "2_ASW0000002.png": "RGB"}


def test_without_a_table_of_fields_everything_is_of_unknown_truth(fields_dir: Path, tmp_path: Path) -> None:
    markers = tmp_path / "clicks" / "markers.csv"
    markers.parent.mkdir()
    markers_table().drop(columns=["stage", "skill"]).to_csv(markers, index=False)
    catalog = cut_markers(fields_dir, markers, tmp_path / "out")
    assert set(catalog["truth"]) == {"UNKNOWN"}
    assert set(catalog["kind"]) == {"test"}
    assert catalog["people_looking_at_field"].tolist() == catalog["people_marking_field"].tolist() == [8, 8, 3]


def test_a_table_beside_the_markers_is_found_and_locations_name_the_files(fields_dir: Path, tmp_path: Path) -> None:
    (fields_dir / "ASW0000002.png").rename(fields_dir / "5183f151.png")
    table = fields_table().assign(location=["ASW0000001.png", "http://survey.example/standard/5183f151.png"])
    table.assign(people_looking_at_field=[60, 46]).to_csv(tmp_path / "fields.csv", index=False)
    markers_table().to_csv(tmp_path / "markers.csv", index=False)
    catalog = cut_markers(fields_dir, tmp_path / "markers.csv", tmp_path / "out")
    assert catalog["people_looking_at_field"].tolist() == [60, 60, 46]
    assert catalog["truth"].tolist() == ["LENS", "LENS", "UNKNOWN"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, f: (m.drop(columns="volunteer"), f), r"expected also volunteer"),
        (lambda m, f: (m, f.drop(columns=["kind", "truth"])), r"expected also kind, truth"),
        (lambda m, f: (m, f[f["stage"] == 1]), r"clicks on field ASW0000002 of stage 2, expected it in the table"),
        (lambda m, f: (m.assign(x=m["x"] + 300), f), r"found a click at x=500, y=100, expected 0 to 439"),
        (lambda m, f: (m.assign(y=-m["y"]), f), r"field ASW0000001: found a click at x=200, y=-100"),
        (lambda m, f: (m.assign(x="left"), f), r"row 1, column x: found 'left', expected a number"),
        (lambda m, f: (m.replace({"ZooID": {"ASW0000002": None}}), f), r"row 9: found no ZooID"),
        (lambda m, f: (m, pd.concat([f, f])), r"field ASW0000001 twice in one stage"),
        (
            lambda m, f: (m.replace("ASW0000002", "ASW0000003"), f.replace("ASW0000002", "ASW0000003")),
            r"found no image of",
        ),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(fields_dir: Path, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    markers, fields = change(markers_table(), fields_table())
    with pytest.raises(InputError, match=message):
        cut_markers(fields_dir, markers, tmp_path / "out", fields=fields)
    assert [path.name for path in tmp_path.iterdir()] == ["fields"]


def test_a_broken_field_is_named_and_leaves_nothing(fields_dir: Path, tmp_path: Path) -> None:
    whole = (fields_dir / "ASW0000002.png").read_bytes()
    (fields_dir / "ASW0000002.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"ASW0000002.png: cannot be decoded"):
        cut_markers(fields_dir, markers_table(), tmp_path / "out", fields=fields_table())
    assert [path.name for path in tmp_path.iterdir()] == ["fields"]


def test_an_interrupt_leaves_the_earlier_output_as_it_was(fields_dir: Path, tmp_path: Path) -> None:
    cut_markers(fields_dir, markers_table(), tmp_path / "out", fields=fields_table())
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt("by the user")

    with pytest.raises(OutputExistsError, match="already exists"):
        cut_markers(fields_dir, markers_table(), tmp_path / "out", fields=fields_table())
    with pytest.raises(KeyboardInterrupt, match="by the user"):
        cut_markers(
            fields_dir, markers_table(), tmp_path / "out", fields=fields_table(), force=True, progress=interrupt
        )
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields", "out"]


def test_a_field_without_a_cluster_gives_no_row(fields_dir: Path, tmp_path: Path) -> None:
    lone = markers_table().iloc[[7]]
    catalog = cut_markers(fields_dir, lone, tmp_path / "out", fields=fields_table())
    assert len(catalog) == 0
    assert list(pd.read_csv(tmp_path / "out" / "cluster_catalog.csv").columns) == REAL_COLUMNS
