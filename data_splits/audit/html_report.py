"""An audit as one self-contained page: verdict, tables, plots, and the worst offenders to listen to."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

import polars as pl

from data_splits.audit.finding import ERROR, INFO, WARNING, Audited
from data_splits.audit.noise import noise_table
from data_splits.audit.plots import bars, distributions
from data_splits.audit.power import power_table
from data_splits.audit.verdict import Verdict
from data_splits.audit.version import rules_version
from data_splits.files import whole_file
from data_splits.schema import SPLITS

_SEVERITIES: Final = (ERROR, WARNING, INFO)
_SHOWN_IDS: Final = 5
_CLIPS, _CLIPS_A_FINDING, _CLIP_S = 12, 3, 5.0
"""Sounds on a page: some 20 kB each."""
_LONGEST_S: Final = 600.0


def write_html(verdict: Verdict, audited: Audited, manifest: Path, sha256: str, path: Path) -> None:
    """Write the page, whole or not at all; audio is read where it is there.

    Raises:
        OSError: the page cannot be written.
    """
    from data_splits.page import page

    title = f"Audit of {manifest.name}"
    word = "Violated" if verdict.count(ERROR) else "Clean"
    counts = ", ".join(f"{verdict.count(severity)} {severity}s" for severity in _SEVERITIES)
    intro = f"<p><b>{word}</b>: {counts}. Manifest {sha256[:16]}, rules {rules_version()[:16]}.</p>"
    blocks = [
        intro,
        *_findings(verdict),
        _splits(audited),
        *_plots(audited),
        *_offenders(verdict, audited, manifest),
    ]
    with whole_file(path) as stream:
        stream.write(page(title, blocks).encode())


def _findings(verdict: Verdict) -> list[str]:
    from data_splits.page import block

    found = sorted(verdict.findings, key=lambda finding: _SEVERITIES.index(finding.severity))
    rows = "".join(
        f"<tr><td>{finding.severity}</td><td>{html.escape(finding.rule)}</td><td>{finding.count:,}</td>"
        '<td style="white-space: normal; text-align: left">'
        f"{html.escape(finding.message)}<br><small>{html.escape(', '.join(finding.ids[:_SHOWN_IDS]))}</small>"
        f"<br>→ {html.escape(finding.remedy)}</td></tr>"
        for finding in found
    )
    head = "<tr><th>severity</th><th>rule</th><th>rows</th>"
    head += '<th style="text-align: left">what was found, and what to do</th></tr>'
    blocks = [block("Findings", f"<table>{head}{rows}</table>" if found else "<p>None.</p>")]
    if verdict.waived:
        items = "".join(
            f"<li>{item.status}: {html.escape(item.waiver.rule)}, {item.count} rows, until "
            f"{item.waiver.expires}: {html.escape(item.waiver.reason)}</li>"
            for item in verdict.waived
        )
        blocks.append(block("Waivers", f"<ul>{items}</ul>"))
    return blocks


def _splits(audited: Audited) -> str:
    from data_splits.page import block, table

    frame = audited.frame.group_by("split", "domain").agg(
        pl.len().alias("rows"),
        (pl.col("duration_s").sum() / 3600).alias("hours"),
        pl.coalesce("clean_parent", "id").n_unique().alias("recordings"),
        pl.col("speaker").drop_nulls().n_unique().alias("speakers"),
    )
    order = {name: index for index, name in enumerate(SPLITS)}
    rows = sorted(frame.iter_rows(), key=lambda row: (order[row[0]], row[1]))
    cells = [[a, b, f"{n:,}", f"{h:.2f}", f"{r:,}", f"{s:,}"] for a, b, n, h, r, s in rows]
    return block(
        "Splits", table(["split", "domain", "rows", "hours", "distinct recordings", "speakers"], cells)
    )


def _plots(audited: Audited) -> list[str]:
    from data_splits.page import block

    def of(column: str) -> str:
        rows = audited.frame.drop_nulls(column)
        values = {
            split: rows.filter(pl.col("split") == split)[column].cast(pl.Float64).to_numpy()
            for split in SPLITS
        }
        return distributions(values, {"duration_s": "duration, s", "snr_db": "SNR, dB"}[column])

    noise, power = noise_table(audited), power_table(audited)
    budget, asked = audited.limits.noise_budget, audited.limits.power
    used = [
        (f"{side}: {kind or 'all kinds'}", float(value))
        for side, kind, value in noise.select("side", "noise_kind", "rows_per_recording").iter_rows()
        if value is not None
    ]
    proved = [
        (f"{split}: {task}", float(value))
        for split, task, value in power.select("split", "task", "fa_per_h").iter_rows()
        if value is not None and value < float("inf")
    ]
    risen = [
        (f"{split}: {task}", float(value))
        for split, task, value in power.select("split", "task", "frr_difference").iter_rows()
        if value is not None
    ]
    return [
        block("Durations", of("duration_s"), "Share of each split below a duration."),
        block("Signal-to-noise ratios", of("snr_db"), "Share of each split below a ratio."),
        block(
            "Noise use",
            bars(used, "rows for each effective recording of noise", budget.max_rows_per_recording),
            "The dashed line is what the rules allow.",
        ),
        block(
            "Power",
            bars(proved, "FA/h that no false accept proves at 95 %", asked.fa_per_h)
            + bars(risen, "smallest rise of the FRR that would be seen", asked.frr_difference),
            "The dashed lines are what is asked for; shorter bars prove more.",
        ),
    ]


def _offenders(verdict: Verdict, audited: Audited, manifest: Path) -> list[str]:
    """Players of the first rows of each finding, the gravest first, where their audio can be read."""
    from data_splits.audio import SAMPLE_RATE_HZ, AudioError, read_audio
    from data_splits.page import block, grid, player

    tiles: dict[str, str] = {}
    for finding in sorted(verdict.findings, key=lambda item: _SEVERITIES.index(item.severity)):
        if finding.severity == INFO:
            continue
        rows = audited.frame.filter(pl.col("id").is_in(finding.ids[:_CLIPS_A_FINDING]))
        for row in rows.select("id", "split", "audio", "text").iter_rows(named=True):
            if len(tiles) == _CLIPS or row["id"] in tiles:
                continue
            try:
                samples = read_audio(row["audio"], manifest.parent, max_s=_LONGEST_S)
            except AudioError:
                continue
            clip = samples[: int(_CLIP_S * SAMPLE_RATE_HZ)] / 32768.0
            words = f"{row['id'][:60]} ({row['split']}): {(row['text'] or 'no text')[:80]}"
            tiles[row["id"]] = f"<div><b>{finding.rule}</b>{player(clip)}<p>{html.escape(words)}</p></div>"
    if not tiles:
        return []
    text = f"The first {_CLIP_S:g} s of the first rows of each error and warning, made equally loud."
    return [block("Worst offenders", grid(list(tiles.values())), text)]
