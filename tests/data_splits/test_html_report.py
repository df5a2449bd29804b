"""The audit's page, opened in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.audit.plots import bars, distributions
from data_splits.cli import main
from data_splits.manifest import write_manifest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Plays every sound, waits until each has moved, and sends what happened.
PROBE = """<script>
const told = [];
addEventListener("error", event => told.push("error " + event.message), true);
addEventListener("load", async () => {
  for (const sound of document.querySelectorAll("audio")) {
    await sound.play();
    await new Promise(moved => { sound.ontimeupdate = () => sound.currentTime > 0 && moved(); });
    sound.pause();
    told.push("played " + (sound.duration > 0.5));
  }
  for (const plot of document.querySelectorAll("svg")) {
    const box = plot.getBoundingClientRect();
    told.push("plot " + (box.width > 200 && box.height > 20));
  }
  fetch("/told", {method: "POST", body: JSON.stringify(told)});
});
</script>"""


@pytest.fixture
def page(tmp_path: Path, honest: pl.DataFrame) -> Path:
    """The page of a manifest with a leak, hostile names, and the audio of two of its rows."""
    rate, ids = 16000, ("dev-drive0", "test-drive1")
    for row_id in ids:
        tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        soundfile.write(tmp_path / f"{row_id}.wav", tone, rate, subtype="PCM_16")
    leaking = honest.with_columns(
        pl.when(pl.col("id").is_in([*ids, "train-drive0"]))
        .then(pl.lit("s1 <script>alert(1)</script>"))
        .otherwise("speaker")
        .alias("speaker"),
        pl.when(pl.col("domain") == "mirror").then(pl.lit(10.0)).alias("snr_db"),
    )
    write_manifest(leaking, tmp_path / "m.parquet")
    assert main(["audit", str(tmp_path / "m.parquet"), "--html", str(tmp_path / "report.html")]) == 1
    return tmp_path / "report.html"


def test_the_page_holds_everything_and_reaches_for_nothing(page: Path) -> None:
    text = page.read_text()
    assert "speaker-overlap" in text and "Violated" in text
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text) and "http" not in text
    assert text.count("<audio") == 2 and text.count("<svg") >= 4
    assert len(text) < 400_000


@pytest.fixture
def told(page: Path) -> Iterator[tuple[str, Queue[list[str]]]]:
    """An address that serves the page with the probe in it, and where the probe's answer arrives."""
    answers: Queue[list[str]] = Queue()
    content = page.read_text().replace("</body>", f"{PROBE}</body>").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 204)
            self.end_headers()
            self.wfile.write(content if self.path == "/" else b"")

        def do_POST(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", answers
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_a_browser_plays_and_shows_all_of_it(told: tuple[str, Queue[list[str]]], tmp_path: Path) -> None:
    address, answers = told
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
        "--autoplay-policy=no-user-gesture-required", "--enable-logging=stderr", "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path / 'profile'}", address,
    ]  # fmt: skip
    log = tmp_path / "browser.log"
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as browser:
        try:
            happened = answers.get(timeout=90)
        finally:
            browser.kill()
    assert happened.count("played true") == 2, happened
    assert happened.count("plot true") == len(happened) - 2 >= 4, happened
    assert ":CONSOLE" not in log.read_text(), log.read_text()


def test_plots_of_nothing_one_value_and_many_are_whole() -> None:
    assert "no values" in distributions({"train": np.zeros(0)}, "s")
    assert distributions({"train": np.ones(1)}, "s").count("<polyline") == 1
    assert "nan" not in distributions({"a": np.full(3, 2.0), "b": np.arange(9.0)}, "s")
    assert bars([("<b>", 0.0), ("x", 3.0)], "h", 5).count("<rect") == 2
