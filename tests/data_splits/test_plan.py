from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_splits.alternative import compare_with_shuffle
from data_splits.audit import audit
from data_splits.manifest import ManifestError, write_manifest
from data_splits.plan import PlanError, make_plan
from data_splits.recipe import PlanRecipe, RecipeError, load_recipe

from_row = dict[str, Any]


@pytest.fixture
def planned(tmp_path: Path, make: Any) -> Any:
    """Plan rows (or several lists of rows, one a source) and return id → split."""

    def _planned(*sources: list[from_row], **recipe: Any) -> dict[str, str]:
        names = []
        for i, rows in enumerate(sources):
            names.append(str(tmp_path / f"source{i}.parquet"))
            make(*rows, require_split=False).write_parquet(names[-1])
        plan = make_plan(PlanRecipe(sources=names, **recipe), out_folder=tmp_path)
        return dict(plan.frame.select("id", "split").iter_rows())

    return _planned


def general(n: int, **values: Any) -> list[from_row]:
    return [{"id": f"g{i}", "speaker": f"g{i % 40}", "text": "hello", **values} for i in range(n)]


def drives(n: int, n_speakers: int, **values: Any) -> list[from_row]:
    return [
        {"id": f"m{i:04}", "domain": "mirror", "speaker": f"d{i % n_speakers}", "text": "hi", **values}
        for i in range(n)
    ]


def counts(splits: dict[str, str], prefix: str) -> dict[str, int]:
    found = [split for row_id, split in splits.items() if row_id.startswith(prefix)]
    return {name: found.count(name) for name in ("train", "train_dev", "dev", "test")}


def test_mirror_rows_go_half_quarter_quarter_and_general_rows_to_train(planned: Any) -> None:
    splits = planned(general(400), drives(400, 40))
    mirror, rest = counts(splits, "m"), counts(splits, "g")
    assert mirror["train"] + mirror["train_dev"] == 200
    assert (mirror["dev"], mirror["test"]) == (100, 100)
    assert (rest["dev"], rest["test"]) == (0, 0)
    assert rest["train_dev"] + mirror["train_dev"] == pytest.approx(30, abs=10)


def test_the_same_seed_gives_the_same_plan_whatever_the_row_order(planned: Any) -> None:
    rows = general(400) + drives(400, 40)
    first = planned(rows, seed=3)
    assert planned(rows[::-1], seed=3) == first
    assert planned(rows, seed=4) != first


@pytest.mark.parametrize("column", ["session", "vehicle", "rir_parent", "noise_parent", "interferer_parent"])
def test_no_group_is_cut(planned: Any, column: str) -> None:
    rows = drives(400, 400)
    for i, row in enumerate(rows):
        row[column] = [f"x{i % 20}"] if column.endswith("e_parent") or column[0] == "i" else f"x{i % 20}"
    sides: dict[int, set[str]] = {}
    for row_id, split in planned(general(100), rows).items():
        if row_id[0] == "m":
            sides.setdefault(int(row_id[1:]) % 20, set()).add(split.replace("train_dev", "train"))
    assert all(len(found) == 1 for found in sides.values())


def test_chains_of_shared_values_are_one_group(planned: Any) -> None:
    rows = drives(40, 40)
    rows[0]["noise_parent"], rows[1]["noise_parent"] = ["a", "b"], ["b", "c"]
    rows[2]["noise_parent"], rows[2]["vehicle"] = ["c"], "car"
    rows[3]["vehicle"] = "car"
    rows[4]["clean_parent"] = "m0003"
    for seed in range(5):
        splits = planned(general(100), rows, seed=seed)
        assert len({splits[f"m{i:04}"].replace("train_dev", "train") for i in range(5)}) == 1


def test_a_part_is_respected_and_clean_rows_of_dev_and_test_are_left_out(planned: Any) -> None:
    rows = general(100, part="train")
    rows += [{"id": f"clean-{part}", "speaker": part, "part": part} for part in ("dev", "test")]
    rows += [
        {
            "id": f"{part}{i}",
            "domain": "mirror",
            "clean_parent": f"clean-{part}",
            "speaker": part,
            "part": part,
        }
        for part in ("dev", "test")
        for i in range(3)
    ]
    splits = planned(rows)
    assert {f"clean-{part}" for part in ("dev", "test")}.isdisjoint(splits)
    assert all(splits[f"{part}{i}"] == part for part in ("dev", "test") for i in range(3))


def test_a_row_without_a_part_follows_its_group(planned: Any) -> None:
    rows = [*drives(2, 2), {"id": "x", "domain": "mirror", "speaker": "d1"}]
    rows[0]["part"], rows[1]["part"] = "dev", "test"
    assert planned(general(100), rows)["x"] == "test"


def test_conflicting_parts_name_the_group(planned: Any) -> None:
    rows = drives(40, 20)
    rows[0]["part"], rows[20]["part"] = "train", "test"
    with pytest.raises(PlanError, match=r"speaker 'd0' conflict: 'm0000' in train, 'm0020' in test"):
        planned(general(10), rows)
    rows = drives(3, 3)
    rows[0] |= {"part": "train", "vehicle": "v"}
    rows[1] |= {"vehicle": "v", "session": "s"}
    rows[2] |= {"part": "dev", "session": "s"}
    with pytest.raises(PlanError, match="joined through rows without a part such as 'm0001'"):
        planned(general(10), rows)


def test_train_dev_is_whole_speakers_and_their_drives(planned: Any) -> None:
    rows = general(400, part="train")
    rows += [
        {
            "id": f"m{i}",
            "domain": "mirror",
            "clean_parent": f"g{i}",
            "noise_parent": ["rain"],
            "part": "train",
        }
        for i in range(200)
    ]
    rows += [{"id": f"e{s}", "domain": "mirror", "speaker": s, "part": s} for s in ("dev", "test")]
    splits = planned(rows, train_dev={"share": 0.1})
    assert 30 <= counts(splits, "")["train_dev"] <= 75
    for i in range(400):
        assert splits[f"g{i}"] == splits[f"g{i % 40}"]
    for i in range(200):
        assert splits[f"m{i}"] == splits[f"g{i}"]


def test_train_dev_keeps_unnamed_corpora_whole_and_leaves_noise_in_train(planned: Any) -> None:
    rows = general(200) + drives(40, 40)
    rows += [{"id": f"u{i}", "session": "corpus", "text": "word"} for i in range(100)]
    rows += [{"id": f"n{i}", "noise_kind": "rain"} for i in range(50)]
    splits = planned(rows, train_dev={"share": 0.2})
    assert counts(splits, "n")["train"] == 50
    assert counts(splits, "u")["train_dev"] in (0, 100)


def test_at_least_counts_distinct_recordings(planned: Any) -> None:
    rows = general(200, labels={"smart mirror": 0}) + drives(40, 40)
    rows += [
        {"id": f"k{i}", "speaker": f"k{i % 8}", "source": "words", "labels": {"smart mirror": 1}}
        for i in range(32)
    ]
    splits = planned(rows, train_dev={"share": 0.01, "at_least": {"smart mirror": 8}})
    assert counts(splits, "k")["train_dev"] == 8
    with pytest.raises(PlanError, match="'smart mirror'.*32"):
        planned(rows, train_dev={"at_least": {"smart mirror": 32}})
    with pytest.raises(PlanError, match="'alexa'"):
        planned(rows, train_dev={"at_least": {"alexa": 1}})


def test_impossible_demands_name_the_constraint_and_the_remedy(planned: Any) -> None:
    with pytest.raises(PlanError, match="no source has a mirror row"):
        planned(general(100))
    with pytest.raises(PlanError, match="1 groups that may not be cut.*take a column out of groups"):
        planned(general(100), drives(40, 40, vehicle="one car"))
    with pytest.raises(PlanError, match="tolerance"):
        planned(general(100), drives(400, 3))
    with pytest.raises(PlanError, match="train_dev cannot be cut"):
        planned(
            [{"id": f"g{i}", "speaker": "only"} for i in range(50)],
            drives(2, 2, speaker=None, part="dev"),
            shares={"train": 0.5, "dev": 0.5, "test": 0},
        )
    with pytest.raises(PlanError, match="no source has a column colour"):
        planned(general(10), groups=["colour"])
    with pytest.raises(PlanError, match="part 'eval' of id 'g0'"):
        planned(general(10, part="eval"))


def test_an_id_in_two_sources_names_both(planned: Any) -> None:
    with pytest.raises(ManifestError, match=r"source0.parquet and .*source1.parquet: both hold id 'g\d'"):
        planned(general(5), general(5))


def test_sources_with_different_labels_and_folders_are_joined(tmp_path: Path, make: Any) -> None:
    (tmp_path / "a").mkdir()
    make(*general(100, labels={"alexa": 1}), require_split=False).write_parquet(tmp_path / "a" / "g.parquet")
    rows = drives(40, 40, labels={"smart mirror": 1})
    make(*rows, require_split=False).write_parquet(tmp_path / "m.parquet")
    recipe = PlanRecipe(sources=["a/g.parquet", "m.parquet"])
    frame = make_plan(recipe, tmp_path, tmp_path).frame
    write_manifest(frame, tmp_path / "plan.parquet")
    row = frame.filter(pl.col("id") == "g0").row(0, named=True)
    assert row["audio"] == str(tmp_path.resolve() / "a" / "g0.wav")
    assert row["labels"] == {"alexa": 1, "smart mirror": None}
    assert frame.filter(pl.col("id") == "m0000")["audio"].to_list() == ["m0000.wav"]


def test_a_plan_passes_the_audit(tmp_path: Path, make: Any) -> None:
    rows = general(300) + [{"id": f"n{i}", "noise_kind": "road"} for i in range(20)] + drives(400, 100)
    for i, row in enumerate(rows[320:]):
        row |= {"session": f"day{i % 50}", "vehicle": f"car{i % 10}", "pcm_sha256": f"{i % 395:064x}"}
    make(*rows, require_split=False).write_parquet(tmp_path / "s.parquet")
    frame = make_plan(PlanRecipe(sources=["s.parquet"]), tmp_path, tmp_path).frame
    assert [finding for finding in audit(frame) if finding.severity == "error"] == []


def test_all_mirror_rows_may_go_to_dev_and_test(planned: Any) -> None:
    splits = planned(general(400), drives(400, 40), shares={"train": 0, "dev": 0.5, "test": 0.5})
    assert counts(splits, "m") == {"train": 0, "train_dev": 0, "dev": 200, "test": 200}
    assert load_recipe("mirror_eval").shares.train == 0


def test_sizes_may_be_rows_or_hours(planned: Any) -> None:
    splits = planned(general(400), drives(400, 200), rows={"dev": 60, "test": 20}, train_dev={"rows": 40})
    assert (counts(splits, "m")["dev"], counts(splits, "m")["test"]) == (60, 20)
    assert counts(splits, "")["train_dev"] == pytest.approx(40, abs=10)
    rows = [row | {"duration_s": 36.0 if i % 2 else 3.6} for i, row in enumerate(drives(400, 400))]
    hours = {"dev": 0.5, "test": 0.25}
    splits = planned(general(400, duration_s=9.0), rows, hours=hours, train_dev={"hours": 0.2})
    got = {"dev": 0.0, "test": 0.0}
    for row in rows:
        if splits[row["id"]] in got:
            got[splits[row["id"]]] += row["duration_s"] / 3600
    assert got == pytest.approx(hours, abs=0.02)
    assert list(splits.values()).count("train_dev") in range(20, 101)


def test_strata_are_spread_although_groups_are_whole(planned: Any) -> None:
    rows = drives(800, 100)
    for i, row in enumerate(rows):
        # A speaker's drives are of one band: left to chance, bands would gather.
        row |= {"speed_band": "fast" if i % 100 < 8 else "slow", "labels": {"smart mirror": int(i % 5 == 0)}}
    for seed in range(3):
        splits = planned(general(100), rows, stratify=["speed_band", "labels.smart mirror"], seed=seed)
        fast = [
            splits[row["id"]].replace("train_dev", "train") for row in rows if row["speed_band"] == "fast"
        ]
        assert (fast.count("train"), fast.count("dev"), fast.count("test")) == (32, 16, 16)


def test_a_simulator_is_no_device_unit_and_a_day_may_be_a_group(planned: Any) -> None:
    rows = drives(200, 200, device="sim-mirror")
    assert counts(planned(general(50), rows), "m")["dev"] == 50
    for i, row in enumerate(rows):
        row |= {"device": f"unit{i % 40}", "recorded_at": f"2025-03-{1 + i % 20:02}T08:00:00Z"}
    splits = planned(general(50), rows, groups=["speaker", "device", "day"], rows={"dev": 50, "test": 50})
    for key in ("device", "recorded_at"):
        sides: dict[str, set[str]] = {}
        for row in rows:
            sides.setdefault(row[key], set()).add(splits[row["id"]].replace("train_dev", "train"))
        assert all(len(found) == 1 for found in sides.values())


def test_too_large_demands_say_what_there_is(planned: Any) -> None:
    with pytest.raises(PlanError, match="rows: dev 30 and test 20 ask for 50 rows .* have 40; .* add 10"):
        planned(general(100), drives(40, 40), rows={"dev": 30, "test": 20})
    with pytest.raises(PlanError, match="train_dev.rows asks for 90"):
        planned(general(100), drives(40, 40), train_dev={"rows": 90})
    with pytest.raises(PlanError, match="stratify: no source has a column 'colour'"):
        planned(general(100), drives(40, 40), stratify=["colour"])


def test_the_shuffle_beside_the_plan_counts_what_it_would_have_leaked(tmp_path: Path, make: Any) -> None:
    make(*general(900), *drives(100, 20), require_split=False).write_parquet(tmp_path / "s.parquet")
    frame = make_plan(PlanRecipe(sources=["s.parquet"]), tmp_path, tmp_path).frame
    table = compare_with_shuffle(frame, ["speaker", "vehicle"], seed=1)
    lines = {name: (planned, shuffled) for name, planned, shuffled in table.iter_rows()}
    assert lines["all"] == (50, 50)
    assert lines["mirror"][0] == 50
    assert lines["mirror"][1] < 15
    assert lines["whose speaker is in train"] == (0, lines["that share any of these with train"][1])
    assert lines["whose speaker is in train"][1] > 40


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sources: [a]\nrows: {dev: 1, test: 1}\nhours: {dev: 1, test: 1}", ["rows and hours", "keep one"]),
        ("sources: [a]\nshare: 1", ["unknown key 'share'"]),
        ("sources: [a]\ntrain_dev: {shares: 1}", ["unknown key 'train_dev.shares'"]),
        ("sources: [a]\nshares: {train: 0.9}", ["shares", "sum to 1.4"]),
        ("sources: []", ["sources"]),
        ("seed: 1", ["sources"]),
        ("- a", ["mapping"]),
        ("a: [", ["not YAML"]),
        ("", ["mapping"]),
    ],
)
def test_a_bad_recipe_names_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    for word in [*words, "r.yaml"]:
        assert word in str(caught.value)


def test_the_shipped_recipe_loads_by_name_and_takes_other_sources() -> None:
    assert load_recipe("mirror").train_dev.at_least == {"smart mirror": 5}
    assert load_recipe("mirror", sources=["x.parquet"]).sources == ["x.parquet"]
    with pytest.raises(RecipeError, match=r"no such recipe.*mirror"):
        load_recipe("mirrors")
