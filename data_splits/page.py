"""A self-contained HTML page of blocks, pictures and sounds: no network, no scripts, light and dark."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_SAMPLE_RATE_HZ = 16000
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6875; --paper: #fcfcfb; --card: #ffffff;
  --line: #dfe4e8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaee; --soft: #9aa7b3; --paper: #14181d; --card: #1b2027; --line: #313943; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1.5rem; }
h2 { font-size: 1.1rem; margin: 0 0 .4rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.25rem; margin: 0 0 1.25rem; overflow-x: auto; }
p { margin: .3rem 0 .7rem; color: var(--soft); max-width: 46rem; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
audio { width: 100%; height: 2rem; margin: .4rem 0 0; }
img { width: 100%; aspect-ratio: 5 / 2; display: block; border-radius: 4px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem; }
.tiles p { font-size: .85rem; margin: .3rem 0 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .38rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
"""


def page(title: str, blocks: Sequence[str]) -> str:
    """A whole HTML document of `blocks`, each a piece of HTML such as the functions below return."""
    body = "\n".join(blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def write_report(path: str | Path, title: str, blocks: Sequence[str]) -> Path:
    """Write `page(title, blocks)`; the folder is made where missing. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, blocks), encoding="utf-8")
    return path


def block(title: str, content: str, text: str = "") -> str:
    """A titled section around `content` (HTML), with a plain-text paragraph under the title."""
    note = f"<p>{html.escape(text)}</p>" if text else ""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{note}{content}\n</section>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of plain texts; a line feed in a header breaks the line."""
    head = "".join(f"<th>{html.escape(cell).replace(chr(10), '<br>')}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def player(samples: np.ndarray) -> str:
    """Float samples (n,) at 16 kHz as an audio element, all made about equally loud."""
    import soundfile

    file = io.BytesIO()
    loud = samples * min(0.5 / max(float(np.abs(samples).max()), 1e-6), 30.0)
    soundfile.write(file, loud, _SAMPLE_RATE_HZ, format="OGG", subtype="OPUS")
    sound = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/ogg;base64,{sound}"></audio>'


def tile(samples: np.ndarray, title: str, text: str, below: str = "") -> str:
    """Float samples (n,) at 16 kHz as a spectrogram and a player; ``below`` is HTML under the picture."""
    picture = base64.b64encode(_spectrogram(samples)).decode()
    return (
        f"<div><b>{html.escape(title[:60])}</b>"
        f'<img alt="spectrogram" src="data:image/png;base64,{picture}">{below}'
        f"{player(samples)}"
        f"<p>{html.escape(text)}</p></div>"
    )


def _spectrogram(samples: np.ndarray) -> bytes:
    """PNG of log power, 0 to 8 kHz upwards, 70 dB below the loudest."""
    from matplotlib.image import imsave

    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::320] * np.hanning(512)
    bins = np.square(np.abs(np.fft.rfft(frames)))[:, :256].reshape(len(frames), 128, 2).mean(2)
    power = 10 * np.log10(bins.T[::-1] + 1e-12)
    file = io.BytesIO()
    imsave(file, power, cmap="magma", vmin=float(power.max()) - 70, vmax=float(power.max()), format="png")
    return file.getvalue()


def grid(tiles: Sequence[str]) -> str:
    """Tiles side by side, as many as the page is wide."""
    return f'<div class="tiles">{"".join(tiles)}</div>'
