"""Subject sets for Zooniverse: nothing gives training images away, the truth is complete, sizes hold, the way back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from made_export import answer, classify, write_export
from PIL import Image

from convnet_galaxies.data.panoptes.classifications import ExportOptions, read_classifications, rename_subjects
from convnet_galaxies.data.panoptes.subjects import read_key
from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.inspection.subject_sets import encode_picture, write_subject_sets
from convnet_galaxies.study.crowd import read_truth, weigh_crowd


def write_images(folder: Path, number: int, seed: int, *, side_px: int = 24, bands: int = 3, prefix: str = "c") -> Path:
    """Pictures of noise, smooth enough that JPEG keeps their means."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(number):
        pixels = np.full((side_px, side_px, bands), rng.integers(40, 200), np.uint8)
        Image.fromarray(pixels).save(folder / f"{prefix}{k:03d}.png")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """60 candidates, 20 duds with an alpha channel, 20 simulated lenses with places, 3 known lenses."""
    sims = tmp_path / "sims"
    write_images(sims / "images", 20, 2, bands=4, prefix="lens")
    places = [{"id": f"lens{k:03d}", "image": f"lens{k:03d}.png", "x_px": k, "y_px": 2.0} for k in range(20)]
    pd.DataFrame(places).to_csv(sims / "truth.csv", index=False)
    return {
        "candidates": write_images(tmp_path / "cand", 60, 0),
        "dud": write_images(tmp_path / "duds", 20, 1, bands=4, prefix="d"),
        "simulated": sims,
        "known": write_images(tmp_path / "known", 3, 3, prefix="k"),
    }


def mixed(folders: dict[str, Path], **shares: float) -> dict:
    return {kind: (folders[kind], share) for kind, share in shares.items()}


def test_every_candidate_is_in_one_set_with_training_images_at_their_share(folders, tmp_path) -> None:
    done = write_subject_sets(
        folders["candidates"],
        tmp_path / "sets",
        mixed=mixed(folders, simulated=0.15, dud=0.2, known=0.05),
        per_set=30,
    )
    assert (done.subjects, done.sets) == (100 - 2, 4)  # 5 known lenses are wanted for 5 %, 3 are there
    assert done.kinds == {"candidate": 60, "dud": 20, "simulated": 15, "known": 3}
    assert "known: 5 are wanted for a share of 0.05, 3 are there" in done.remarks
    key = pd.read_csv(tmp_path / "sets/key.csv")
    assert key["id"].is_unique
    assert sorted(key["source_id"][key["kind"] == "candidate"]) == [f"c{k:03d}" for k in range(60)]
    assert key.groupby("kind")["lens"].agg("first").to_dict() == pytest.approx(
        {"candidate": np.nan, "dud": 0, "known": 1, "simulated": 1}, nan_ok=True
    )
    per_set = pd.crosstab(key["set"], key["kind"])
    assert (per_set.max() - per_set.min() <= 1).all()
    assert key.groupby("set").size().max() <= 30
    for number in range(1, 5):
        manifest = pd.read_csv(tmp_path / f"sets/set_{number}/manifest.csv", dtype=str)
        own = key[key["set"] == number]
        assert list(manifest) == ["image", "#id"]
        assert manifest["#id"].tolist() == own["id"].tolist()
        files = {path.name for path in (tmp_path / f"sets/set_{number}").iterdir()} - {"manifest.csv"}
        assert files == set(manifest["image"])


def test_nothing_in_what_is_uploaded_gives_training_images_away(folders, tmp_path) -> None:
    write_subject_sets(folders["candidates"], tmp_path / "sets", mixed=mixed(folders, simulated=0.2, dud=0.2))
    key = pd.read_csv(tmp_path / "sets/key.csv")
    told = set()
    for name in key["file"]:
        with Image.open(tmp_path / "sets" / name) as image:
            told.add((image.format, image.mode, image.size, tuple(sorted(image.info)), image.getexif().__len__()))
    assert len(told) == 1
    # Training images lie anywhere in the order: the mean places of kinds agree within four standard errors.
    place = np.arange(len(key)) / len(key)
    for kind in ("dud", "simulated"):
        rows = (key["kind"] == kind).to_numpy()
        assert abs(place[rows].mean() - 0.5) < 4 / np.sqrt(12 * rows.sum())
    text = "".join(path.read_text() for path in (tmp_path / "sets").rglob("manifest.csv"))
    assert not any(word in text for word in ("lens", "dud", "c0", "simulated"))


def test_the_pictures_are_those_of_their_sources(folders, tmp_path) -> None:
    write_subject_sets(folders["candidates"], tmp_path / "sets", mixed=mixed(folders, dud=0.2), form="png")
    key = pd.read_csv(tmp_path / "sets/key.csv")
    for row in key.itertuples():
        source = folders["candidates"] if row.kind == "candidate" else folders["dud"]
        with (
            Image.open(tmp_path / "sets" / row.file) as shown,
            Image.open(source / f"{Path(row.source_id).name}.png") as own,
        ):
            assert np.array_equal(np.asarray(shown), np.asarray(own)[..., :3])


def test_places_of_simulated_lenses_follow_the_pictures(folders, tmp_path) -> None:
    plain = write_subject_sets(folders["candidates"], tmp_path / "a", mixed=mixed(folders, simulated=0.2))
    write_subject_sets(folders["candidates"], tmp_path / "b", mixed=mixed(folders, simulated=0.2), side_px=48)
    assert plain.remarks == ()
    first, second = (pd.read_csv(tmp_path / name / "key.csv").set_index("source_id") for name in "ab")
    rows = first["kind"] == "simulated"
    assert first["x_px"][rows].tolist() == [float(name[-3:]) for name in first.index[rows]]
    assert first["x_px"][~rows].isna().all()
    # Pixel 0 is now pixels 0 and 1, with the centre between them.
    assert second["x_px"][rows].to_numpy() == pytest.approx(2 * first["x_px"][rows].to_numpy() + 0.5)
    assert second["y_px"][rows].unique().tolist() == [4.5]


def test_places_in_fits_images_are_those_of_the_picture(folders, tmp_path) -> None:
    sims = tmp_path / "fits"
    (sims / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    places = [(20, 5), (9, 31)]
    for k, (x, y) in enumerate(places):
        cube = rng.normal(0, 1, (3, 40, 40)).astype(np.float32)
        cube[:, y - 1 : y + 2, x - 1 : x + 2] += 500
        header = fits.Header({"BANDS": "gri", "MAGZERO": 30.0})
        fits.PrimaryHDU(cube, header).writeto(sims / f"images/l{k}.fits")
    table = pd.DataFrame({"id": ["l0", "l1"], "x_px": [x for x, _ in places], "y_px": [y for _, y in places]})
    table.to_csv(sims / "truth.csv", index=False)
    write_subject_sets(folders["candidates"], tmp_path / "sets", mixed={"simulated": (sims, 0.03)}, form="png")
    key = pd.read_csv(tmp_path / "sets/key.csv")
    own = key[key["kind"] == "simulated"]
    assert len(own) == 2
    for row in own.itertuples():
        with Image.open(tmp_path / "sets" / row.file) as image:
            light = np.asarray(image).astype(float).sum(axis=2)
        light[light < 0.5 * light.max()] = 0
        assert (np.indices(light.shape) * light).sum(axis=(1, 2)) / light.sum() == pytest.approx(
            [row.y_px, row.x_px], abs=0.6
        )


def test_the_same_seed_gives_the_same_bytes_and_another_deals_otherwise(folders, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_subject_sets(folders["candidates"], tmp_path / name, mixed=mixed(folders, dud=0.1), seed=seed)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    assert (tmp_path / "a/key.csv").read_bytes() != (tmp_path / "c/key.csv").read_bytes()


def test_pictures_stay_below_the_limit_of_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    whole = len(encode_picture(noise, "jpeg"))
    small = encode_picture(noise, "jpeg", most_bytes=whole)
    assert len(small) < whole
    with pytest.raises(
        BadImageError, match=r"a: found [\d,]+ bytes as PNG of 200 x 200 px, expected less than 1,000"
    ) as error:
        encode_picture(noise, "png", where="a", most_bytes=1000)
    assert "--form jpeg" in error.value.fix
    with pytest.raises(BadImageError, match="as JPEG"):
        encode_picture(noise, "jpeg", most_bytes=1000)


def test_sizes_that_tell_the_kinds_apart_are_remarked(folders, tmp_path) -> None:
    wide = write_images(tmp_path / "wide", 20, 5, side_px=30)
    done = write_subject_sets(folders["candidates"], tmp_path / "a", mixed={"dud": (wide, 0.2)})
    assert any("differ in size" in text for text in done.remarks)
    assert not any(
        "differ" in text
        for text in write_subject_sets(
            folders["candidates"], tmp_path / "b", mixed={"dud": (wide, 0.2)}, side_px=24
        ).remarks
    )


def test_missing_and_damaged_images_are_one_message_or_left_out(folders, tmp_path) -> None:
    table = tmp_path / "table.csv"
    pd.DataFrame({"id": ["c001", "c002", "gone1", "gone2"]}).to_csv(table, index=False)
    with pytest.raises(InputError, match=r"found no image of 2 of 4 rows \(gone1, gone2\), expected one of each"):
        write_subject_sets(table, tmp_path / "sets", images=folders["candidates"])
    assert not (tmp_path / "sets").exists()
    done = write_subject_sets(table, tmp_path / "sets", images=folders["candidates"], skip_bad=True)
    assert done.kinds == {"candidate": 2}
    assert any("gone1" in text for text in done.remarks)
    (folders["candidates"] / "c003.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(BadImageError, match=r"c003"):
        write_subject_sets(folders["candidates"], tmp_path / "two")
    assert not (tmp_path / "two").exists()
    done = write_subject_sets(folders["candidates"], tmp_path / "two", skip_bad=True)
    assert done.kinds == {"candidate": 59}


def test_only_the_best_candidates_are_taken_when_asked(folders, tmp_path) -> None:
    table = tmp_path / "found.csv"
    scores = {"id": [f"c{k:03d}" for k in range(60)], "lens_probability": [(k * 7 % 60) / 60 for k in range(60)]}
    pd.DataFrame(scores).to_csv(table, index=False)
    write_subject_sets(table, tmp_path / "sets", images=folders["candidates"], top=5)
    key = pd.read_csv(tmp_path / "sets/key.csv")
    best = sorted(range(60), key=lambda k: -(k * 7 % 60))[:5]
    assert sorted(key["source_id"]) == sorted(f"c{k:03d}" for k in best)
    with pytest.raises(UsageError, match=r"--top: found neither rank nor lens_probability"):
        write_subject_sets(folders["candidates"], tmp_path / "no", top=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixed": {"dud": 1.0}}, r"--dud-share: found 1, expected a fraction"),
        ({"mixed": {"dud": 0.5, "simulated": 0.45}}, r"found shares of 0\.95 in all"),
        ({"per_set": 20_000}, r"--per-set: found 20000, expected 1 to 10,000"),
    ],
)
def test_shares_and_sizes_that_cannot_be_are_refused(folders, tmp_path, options, message) -> None:
    shares = options.pop("mixed", {})
    with pytest.raises(UsageError, match=message):
        write_subject_sets(folders["candidates"], tmp_path / "sets", mixed=mixed(folders, **shares), **options)


def test_the_way_back_gives_subjects_their_names_and_the_crowd_its_truth(folders, tmp_path) -> None:
    write_subject_sets(folders["candidates"], tmp_path / "sets", mixed=mixed(folders, simulated=0.15, dud=0.15))
    key = pd.read_csv(tmp_path / "sets/key.csv")
    with (tmp_path / "sets/set_1/manifest.csv").open(newline="") as file:
        hidden = [row["#id"] for row in csv.DictReader(file)]
    is_lens = dict(zip(key["id"], key["lens"] == 1, strict=True))
    is_lens[key["id"][key["source_id"] == "c007"].iloc[0]] = True
    rows = [
        classify(
            f"u{who}", str(100 + k), [answer("Yes" if is_lens[name] else "No")], about={"retired": None, "#id": name}
        )
        for k, name in enumerate(hidden)
        for who in range(6)
    ]
    export = write_export(tmp_path / "e.csv", *rows)
    found = read_classifications(export, ExportOptions(id_name="id"))
    weighed = weigh_crowd(found, read_truth(tmp_path / "sets/key.csv"), question="T0")
    table = weighed.subjects.set_index("id")
    assert set(table.index) == set(key["source_id"])
    assert table["crowd_probability"].drop([name for name in table.index if "/" in name]).idxmax() == "c007"
    assert table["training"].sum() == (key["kind"] == "simulated").sum()
    renamed = rename_subjects(found, read_key(tmp_path / "sets/key.csv"))
    assert set(renamed.subjects["id"]) == set(key["source_id"])
    with pytest.raises(InputError, match=r"key: found none of the subjects of the export"):
        rename_subjects(found, {"x": "y"})
    (tmp_path / "k.csv").write_text("id,kind\na,b\n")
    with pytest.raises(InputError, match=r"found the columns id, kind, expected also source_id"):
        read_key(tmp_path / "k.csv")
