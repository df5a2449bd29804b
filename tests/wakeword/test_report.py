import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from wakeword import report


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order."""

    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def parsed(text):
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


@pytest.fixture(scope="module")
def result():
    point = {
        "frr": 0.25,
        "misses": 1,
        "words": 4,
        "wilson_95": [0.0, 0.5],
        "by_voice_95": [0.0, 0.5],
        "strays": 0,
        "latency_p50_s": 0.2,
        "latency_p95_s": None,
    }
    where = {
        "threshold": 0.8,
        "fa_per_hour": 0.0,
        "statement": "none",
        "conditions": {"quiet": point, "10": point},
    }
    return {
        "note": "The car is simulated.",
        "phrase": "smart <mirror>",
        "split": "dev",
        "takes": 4,
        "voices": 2,
        "negatives": {"hours": 2.0},
        "models": [
            {
                "model": "a/b.onnx",
                "precision": "int8",
                "own_threshold": where,
                "read_off_this_split": {"0.5": where, "1": where},
                "det": {
                    "thresholds": [0.1, 0.5, 0.9],
                    "fa_per_hour": [50.0, 2.0, 0.0],
                    "frr": {"quiet": [0.0, 0.1, 0.4], "10": [0.1, 0.3, 0.8]},
                },
            }
        ],
    }


def test_page_is_self_contained(tmp_path, result):
    history = [
        {"step": s, "train_loss": 2 / (s + 1), "dev_loss": 2.2 / (s + 1), "lr": 1e-3} for s in range(9)
    ]
    scores = np.random.default_rng(0).random(750)
    blocks = [
        report.score_table(result),
        report.det_plot(result),
        report.training_curves(history),
        report.drive_plot(scores, 0.08, [(3.0, 3.6)], [3.5, 20.0], 0.9),
    ]
    path = report.write_report(tmp_path / "deep" / "report.html", 'A & B <"C">', blocks)
    text = path.read_text(encoding="utf-8")
    seen = parsed(text)
    assert seen.count("svg") == 3 and seen.count("table") == 1
    assert "script" not in seen and "link" not in seen and "img" not in seen
    links = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", text)
    assert links == [] and "@import" not in text and "url(http" not in text
    assert "A &amp; B &lt;" in text and "smart &lt;mirror&gt;" in text
    assert "currentColor" in text and "#010203" not in text
    assert "prefers-color-scheme: dark" in text


def test_figures_are_well_formed_and_share_no_ids(result):
    blocks = [report.det_plot(result), report.drive_plot(np.zeros(10), 0.08, [], [], 0.5)]
    clips = []
    for block in blocks:
        svg = block[block.index("<svg") : block.index("</svg>") + 6]
        root = ElementTree.fromstring(svg)
        clips.append({e.get("id") for e in root.iter() if e.tag.endswith("clipPath")})
    assert clips[0] and clips[1] and not clips[0] & clips[1]


def test_long_drives_keep_their_peaks():
    scores = np.zeros(50_001)
    scores[33_333] = 1
    time, shown = report._thinned(scores, 0.08)
    assert shown.size <= 4000 and shown.max() == 1
    assert time[shown.argmax()] == pytest.approx(33_333 * 0.08, abs=0.08 * 14)


def test_empty_history_says_so():
    assert "no figures" in report.training_curves([])
    assert "no figures" in report.training_curves([{"step": 1, "loss": float("nan"), "note": "x"}])


def test_history_with_gaps():
    block = report.training_curves([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "dev_frr": 0.3}])
    assert "<svg" in block
