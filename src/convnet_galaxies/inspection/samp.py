"""Candidates in TOPCAT, Aladin and DS9, by SAMP (IVOA Recommendation 1.3), with the client of astropy or pyvo.

The candidates are sent as a VOTable, the one that is shown is pointed at and highlighted there, and a row or place that
is picked there is shown here.
"""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies import __version__
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError

NAME = "convnet-galaxies"
TABLE_ID = "convnet-galaxies-candidates"
LOAD, ROW, POINT = "table.load.votable", "table.highlight.row", "coord.pointAt.sky"
NEAREST_ARCSEC = 30.0
"""A place that is picked in another program means the nearest candidate within this distance."""
SENT_COLUMNS = ("id", "ra_deg", "dec_deg", "rank", "lens_probability", "familiarity", "known", "tile")


class SampLink:
    """A connection to the hub that TOPCAT, Aladin or DS9 started.

    table: the candidates, with the columns id, ra_deg and dec_deg. on_pick: called, from a thread of its own, with the
        row of a candidate that is picked in another program.
    Use it as a context manager. Raises InputError when no hub is running or no candidate has a position.
    """

    def __init__(self, table: pd.DataFrame, on_pick: Callable[[int], None] | None = None) -> None:
        absent = [name for name in ("ra_deg", "dec_deg") if name not in table]
        if absent or not np.isfinite(table[["ra_deg", "dec_deg"]].to_numpy(float)).all(axis=1).any():
            raise InputError(
                "SAMP: found no candidate with a position, expected ra_deg and dec_deg",
                "give candidates with positions, or leave --samp out",
            )
        self._table = table[[name for name in SENT_COLUMNS if name in table]].reset_index(drop=True)
        self._position = table[["ra_deg", "dec_deg"]].to_numpy(float)
        self._on_pick = on_pick or (lambda row: None)
        self._folder = tempfile.TemporaryDirectory(prefix="convnet-galaxies-samp-")
        self._path = Path(self._folder.name) / "candidates.vot"
        self._client: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> SampLink:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Register with the hub, and listen to picks."""
        samp = load_samp()
        facts = {
            "samp.name": NAME,
            "samp.description.text": "Candidates of a network, to be inspected",
            "author.version": __version__,
        }
        with samp.conf.set_temp("use_internet", False):  # 127.0.0.1, not whatever the name of this machine resolves to
            client = samp.SAMPIntegratedClient(name=NAME, metadata=facts, addr="127.0.0.1")
            try:
                client.connect()
            except samp.SAMPHubError as error:
                self._folder.cleanup()
                raise InputError(
                    f"SAMP: found no hub ({error})", "start TOPCAT, Aladin or DS9 first, or leave --samp out"
                ) from None
        self._client = client
        for mtype, take in ((ROW, self._take_row), (POINT, self._take_point)):
            client.bind_receive_notification(mtype, self._wrap(take))
            client.bind_receive_call(mtype, self._wrap_call(take))

    def close(self) -> None:
        """Leave the hub and remove the table that was sent."""
        if self._client is not None and self._client.is_connected:
            try:
                self._client.disconnect()
            except Exception:  # the hub is gone with the program that had it
                self._client = None
        self._folder.cleanup()

    def send_table(self) -> list[str]:
        """Send all candidates as a VOTable; return the names of the programs that take it."""
        write_table(self._path, self._table, force=True)
        takers = self._client.get_subscribed_clients(LOAD)
        params = {"url": self._path.as_uri(), "table-id": TABLE_ID, "name": "Candidates"}
        self._client.notify_all({"samp.mtype": LOAD, "samp.params": params})
        return [self._client.get_metadata(one).get("samp.name", one) for one in takers]

    def point_at(self, row: int) -> None:
        """Point at a candidate: Aladin and DS9 move to its place, TOPCAT highlights its row."""
        with self._lock:
            ra, dec = self._position[row]
            if np.isfinite([ra, dec]).all():
                place = {"ra": f"{ra:.8f}", "dec": f"{dec:.8f}"}
                self._client.notify_all({"samp.mtype": POINT, "samp.params": place})
            params = {"table-id": TABLE_ID, "url": self._path.as_uri(), "row": str(row)}
            self._client.notify_all({"samp.mtype": ROW, "samp.params": params})

    def _take_row(self, params: dict[str, Any]) -> None:
        is_ours = params.get("table-id") == TABLE_ID or params.get("url") == self._path.as_uri()
        row = str(params.get("row", ""))
        if is_ours and row.isdecimal() and int(row) < len(self._table):
            self._on_pick(int(row))

    def _take_point(self, params: dict[str, Any]) -> None:
        try:
            ra, dec = float(params["ra"]), float(params["dec"])
        except (KeyError, TypeError, ValueError):
            return  # another program's mistake is not ours to report
        row, distance_arcsec = find_nearest(self._position, ra, dec)
        if distance_arcsec <= NEAREST_ARCSEC:
            self._on_pick(row)

    def _wrap(self, take: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
        def receive(
            private_key: str, sender_id: str, mtype: str, params: dict[str, Any], extra: dict[str, Any]
        ) -> None:
            take(params)

        return receive

    def _wrap_call(self, take: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
        def receive(
            private_key: str, sender_id: str, msg_id: str, mtype: str, params: dict[str, Any], extra: dict[str, Any]
        ) -> None:
            take(params)
            self._client.reply(msg_id, {"samp.status": "samp.ok", "samp.result": {}})

        return receive


def load_samp() -> Any:
    """Return the module with the SAMP client: that of pyvo, to which astropy hands it over, or astropy's."""
    from importlib import import_module

    try:
        return import_module("pyvo.samp")
    except ImportError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the move to pyvo
            return import_module("astropy.samp")


def find_nearest(position_deg: np.ndarray, ra_deg: float, dec_deg: float) -> tuple[int, float]:
    """Return the row nearest to a place and its distance in arcsec; position_deg: float [n, 2], ra and dec, NaN where
    unknown."""
    ra, dec = np.deg2rad(position_deg).T
    at_ra, at_dec = np.deg2rad([ra_deg, dec_deg])
    # The haversine keeps its digits for small distances.
    half = np.sin((dec - at_dec) / 2) ** 2 + np.cos(dec) * np.cos(at_dec) * np.sin((ra - at_ra) / 2) ** 2
    distance = np.where(np.isfinite(half), 2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))), np.inf)
    row = int(distance.argmin())
    return row, float(np.rad2deg(distance[row]) * 3600)
