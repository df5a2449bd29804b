"""Rules of the house that no single package's tests would see."""

from __future__ import annotations

import ast
import importlib
import json
import re
import resource
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data_splits", "asr_pretrain", "wakeword", "mirror_device")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS = tuple(PROJECT["scripts"])
PICKLERS = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RECIPES = sorted(path for package in PACKAGES for path in (ROOT / package / "recipes").glob("*.yaml"))
# The models that a package's recipes may be of.
MODELS = {
    "data_splits": ("data_splits.recipe:PlanRecipe",),
    "asr_pretrain": (
        "asr_pretrain.train:PretrainRecipe",
        "asr_pretrain.screen:Screen",
        "asr_pretrain.card:Card",
        "asr_pretrain.augment.render:RenderRecipe",
        "asr_pretrain.synthesis.recipe:SynthesisRecipe",
    ),
    "wakeword": ("wakeword.train:TriggerRecipe", "wakeword.grid:Grid", "wakeword.card:Card"),
}
# Files in which a sentence may name a command for the reader to type.
MANUALS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def script_help(script: str) -> tuple[str, float]:
    """A console script's `--help`, by the entry point that pyproject.toml names, and its CPU seconds."""
    module, function = PROJECT["scripts"][script].split(":")
    code = f"import sys; sys.argv[0] = {script!r}; from {module} import {function}; sys.exit({function}())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def subcommands(script: str) -> list[str]:
    """The subcommands that a script's own help lists."""
    return re.findall(r"^ {2,6}([a-z][a-z-]+)(?:\s{2,}|$)", script_help(script)[0], flags=re.MULTILINE)


@cache
def subcommand_helps(script: str) -> dict[str, str]:
    """The `--help` of every subcommand; all in one process, for some import much."""
    module, function = PROJECT["scripts"][script].split(":")
    code = f"""
import contextlib, io, json, sys
from {module} import {function}
helps = {{}}
for name in {subcommands(script)!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        {function}([name, "--help"])
    helps[name] = out.getvalue()
print(json.dumps(helps))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return tuple(path for name in names if (path := ROOT / name).is_file())


@cache
def make_targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


def typed_commands(path: Path) -> list[str]:
    """The commands that a manual shows: lines of its fenced blocks and its inline code."""
    text = path.read_text(encoding="utf-8")
    fences = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    joined = [re.sub(r"\\\n\s*", "", block) for block in fences]
    lines = [
        line.partition("#")[0].strip().removeprefix("$ ") for block in joined for line in block.splitlines()
    ]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*lines, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_and_shows_an_example(script: str) -> None:
    output, cpu_s = script_help(script)
    assert "example" in output.lower(), f"`{script} --help` shows no example"
    # Processor time, not the clock's: other work on the machine is no fault of this script.
    assert cpu_s < 2, f"`{script} --help` took {cpu_s:.1f} s: a module imports something heavy at its top"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_subcommand_shows_an_example(script: str) -> None:
    helps = subcommand_helps(script)
    assert helps, f"`{script} --help` lists no subcommand"
    without = [name for name, output in helps.items() if "example" not in output.lower()]
    assert not without, f"no example in the --help of: {', '.join(f'{script} {name}' for name in without)}"


@pytest.mark.parametrize("path", MANUALS, ids=lambda path: path.name)
def test_the_commands_in_the_manuals_exist(path: Path) -> None:
    wrong = []
    for command in typed_commands(path):
        words = command.split()
        if len(words) < 2:
            continue
        if words[0] == "make" and words[1] not in make_targets():
            wrong.append(f"{command}: the Makefile has no target {words[1]!r}")
        if words[0] in SCRIPTS and re.fullmatch("[a-z-]+", words[1]) and words[1] != "--help":
            if words[1] not in subcommands(words[0]):
                wrong.append(f"{command}: no such subcommand")
                continue
            known = subcommand_helps(words[0])[words[1]]
            wrong += [
                f"{command}: no option {option}"
                for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", command)
                if option not in known
            ]
        wrong += [
            f"{command}: no file {word}"
            for word in words
            if re.fullmatch(r"[\w/]+/recipes/[\w/]+\.yaml", word) and not (ROOT / word).is_file()
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MANUALS, ids=lambda path: path.name)
def test_the_files_that_the_manuals_name_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    names = re.findall(rf"`((?:{'|'.join(PACKAGES)}|tests|docs|ci)/[\w/.-]+)`", text)
    names += re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    missing = [name for name in names if not (ROOT / name).exists() and not (path.parent / name).exists()]
    assert not missing, f"{path.name} names what is not there: {missing}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_every_recipe_is_valid(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    errors = []
    for name in MODELS[path.parent.parent.name]:
        module, model = name.split(":")
        try:
            getattr(importlib.import_module(module), model).model_validate(content)
            return
        except ValidationError as error:
            errors.append(str(error))
    pytest.fail("\n".join(errors))


def test_every_key_of_a_recipe_is_read_by_the_code() -> None:
    fields: dict[str, str] = {}
    read = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            bases = {ast.unparse(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
            if not any(base.endswith(("Strict", "BaseModel", "Recipe")) for base in bases):
                continue
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    fields[f"{node.name}.{line.target.id}"] = line.target.id
    assert fields, "no recipe model was found"
    unread = sorted(name for name, attribute in fields.items() if attribute not in read)
    assert not unread, f"keys that a recipe may set and no code reads: {unread}"


def test_no_pickle_exec_or_eval() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if {name.split(".")[0] for name in names} & PICKLERS:
                    wrong.append(f"{where} imports a pickling module")
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if called in {"exec", "eval", "compile", "__import__"}:
                    wrong.append(f"{where} calls {called}")
                if called == "torch.load" and keywords.get("weights_only") != "True":
                    wrong.append(f"{where} torch.load without weights_only=True unpickles anything")
                if called.endswith("yaml.load"):
                    wrong.append(f"{where} yaml.load builds objects; use yaml.safe_load")
                if keywords.get("allow_pickle") == "True":
                    wrong.append(f"{where} allow_pickle=True")
    assert not wrong, "\n".join(wrong)


def test_nothing_private_large_or_recorded_is_in_the_repository() -> None:
    private = re.compile(r"(?<![\w.}~-])/(?:home|root|Users|work|mnt|srv|opt)/[A-Za-z0-9]")
    wrong = []
    for path in project_files():
        name = path.relative_to(ROOT)
        if path.suffix in {".wav", ".flac", ".opus", ".ogg", ".mp3", ".parquet", ".tar", ".pt", ".ckpt"}:
            wrong.append(f"{name}: recordings, shards and training states stay out of the repository")
        if path.stat().st_size > 3 * 1024 * 1024:
            wrong.append(f"{name}: {path.stat().st_size / 2**20:.1f} MiB; at most 3")
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sh", ".txt", ""}:
            text = path.read_text(encoding="utf-8", errors="replace")
            wrong += [f"{name}: a path of somebody's machine: {m.group()}…" for m in private.finditer(text)]
    assert not wrong, "\n".join(wrong)
