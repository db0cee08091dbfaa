from __future__ import annotations

import base64
import socket
from pathlib import Path

import pandas as pd
import pytest
from astropy.io.votable import from_table, writeto
from astropy.table import Table

from convnet_galaxies.data.table_notes import table_remarks, table_units
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError

XML = (
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results"><TABLE>'
    '<FIELD name="id" datatype="char" arraysize="*"/><FIELD name="ra" datatype="double" unit="rad"/>'
    "<DATA>{}</DATA></TABLE>{}</RESOURCE></VOTABLE>"
)
ROW = "<TABLEDATA><TR><TD>a</TD><TD>1</TD></TR></TABLEDATA>"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a table opens a network connection")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)


def _link(path: Path, href: str, form: str = "PARQUET") -> Path:
    path.write_text(XML.format(f'<{form} type="VOTable-remote-file"><STREAM href="{href}"/></{form}>', ""))
    return path


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_all_serialisations_give_the_same_table(tmp_path: Path, form: str) -> None:
    table = from_table(Table({"id": ["a", "b"], "n": [39627835576420141, 2], "x": [0.5, 1.5]}))
    table.set_all_tables_format(form)
    writeto(table, str(tmp_path / "t.vot"))
    frame = read_table(tmp_path / "t.vot")
    assert frame.to_dict("list") == {"id": ["a", "b"], "n": [39627835576420141, 2], "x": [0.5, 1.5]}


@pytest.mark.parametrize("href", ["rows.parquet", "file:rows.parquet", "rows%2Eparquet"])
def test_rows_in_a_file_of_the_same_folder_are_read_from_any_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, href: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    pd.DataFrame({"id": ["a", "b"], "ra": [1.0, 2.0]}).to_parquet(tmp_path / "own" / "rows.parquet")
    pd.DataFrame({"id": ["c"], "ra": [3.0]}).to_parquet(tmp_path / "other" / "rows.parquet")
    path = _link(tmp_path / "own" / "t.xml", href)
    for folder, name in (("own", Path("t.xml")), ("other", Path("../own/t.xml")), ("/", path)):
        monkeypatch.chdir(tmp_path / folder)
        frame = read_table(name)
        assert list(frame["id"]) == ["a", "b"]
        assert table_units(frame) == {"ra": "rad"}


def test_rows_in_a_fits_file_of_the_same_folder_are_read(tmp_path: Path) -> None:
    Table({"id": ["a"], "ra": [1.0]}).write(tmp_path / "rows.fits")
    assert list(read_table(_link(tmp_path / "t.xml", "rows.fits", "FITS"))["id"]) == ["a"]


@pytest.mark.parametrize(
    "href",
    [
        "http://127.0.0.1:18743/rows.parquet",
        "&#104;ttps://example.org/rows.parquet",
        "FTP://example.org/rows.parquet",
        "file:///{folder}/rows.parquet",
        "{folder}/rows.parquet",
        "../rows.parquet",
        "sub/rows.parquet",
        "sub%2Frows.parquet",
        "file:..%2Frows.parquet",
        "..\\rows.parquet",
        "C:\\rows.parquet",
    ],
)
@pytest.mark.parametrize("form", ["PARQUET", "FITS", "BINARY2"])
def test_rows_at_an_address_or_in_another_folder_are_named_and_not_opened(tmp_path: Path, href: str, form: str) -> None:
    (tmp_path / "own" / "sub").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "own" / "sub"):
        pd.DataFrame({"id": ["a"], "ra": [1.0]}).to_parquet(folder / "rows.parquet")
    path = _link(tmp_path / "own" / "t.xml", href.format(folder=tmp_path), form)
    with pytest.raises(InputError, match=r"keeps its rows in .*rows\.parquet, which is not read") as error:
        read_table(path)
    assert "fetch that file and give it" in error.value.fix


def test_rows_that_are_not_there_or_lie_behind_a_link_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "own" / "rows.parquet").symlink_to(tmp_path / "rows.parquet")
    for name in ("rows.parquet", "none.parquet"):
        with pytest.raises(InputError, match=f"keeps its rows in {name}, which is not in the same folder") as error:
            read_table(_link(tmp_path / "own" / "t.xml", name))
        assert f"give {name} itself" in error.value.fix


def test_bare_bytes_and_fits_inside_of_the_xml_are_refused_with_their_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"keeps its rows in rows\.bin, as bare BINARY2"):
        read_table(_link(tmp_path / "t.xml", "rows.bin", "BINARY2"))
    stream = f'<STREAM encoding="base64">{base64.b64encode(b"SIMPLE").decode()}</STREAM>'
    (tmp_path / "t.xml").write_text(XML.format(f"<FITS>{stream}</FITS>", ""))
    with pytest.raises(InputError, match="holds a FITS file inside of the XML"):
        read_table(tmp_path / "t.xml")


def test_entities_are_refused_and_the_old_doctype_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    entity = f'<!DOCTYPE VOTABLE [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "t.xml").write_text(entity + XML.format(ROW.replace(">a<", ">&x;<"), ""))
    with pytest.raises(InputError, match="declares XML entities"):
        read_table(tmp_path / "t.xml")
    doctype = '<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">'
    (tmp_path / "t.xml").write_text(doctype + XML.format(ROW, ""))
    assert list(read_table(tmp_path / "t.xml")["id"]) == ["a"]


def test_of_several_tables_the_wanted_or_the_largest_is_read_and_all_are_named(tmp_path: Path) -> None:
    small = '<TABLE name="few"><FIELD name="truth" datatype="int"/><DATA><TABLEDATA/></DATA></TABLE>'
    (tmp_path / "t.vot").write_text(XML.format(ROW, small))
    frame = read_table(tmp_path / "t.vot")
    assert list(frame) == ["id", "ra"]
    assert table_remarks(frame) == ("table 1 is read, of 2 tables: table 1 (1 row, 2 columns), few (0 rows, 1 column)",)
    assert list(read_table(tmp_path / "t.vot", wanted=(("truth",),))) == ["truth"]


def test_answers_of_servers_tell_failure_and_overflow(tmp_path: Path) -> None:
    status = '<INFO name="QUERY_STATUS" value="{}">{}</INFO>'
    (tmp_path / "t.vot").write_text(XML.format(ROW, status.format("OVERFLOW", "")))
    assert "the server cut the table off" in table_remarks(read_table(tmp_path / "t.vot"))[0]
    (tmp_path / "t.vot").write_text(f"<VOTABLE><RESOURCE>{status.format('ERROR', 'no column z')}</RESOURCE></VOTABLE>")
    with pytest.raises(InputError, match="the error message of a server: no column z"):
        read_table(tmp_path / "t.vot")
