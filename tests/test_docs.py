"""What the documentation shows works: every config, every code block, every notebook."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import datasets
import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from dedup import config as configuration
from tests import pictures
from tests.formats import annotated, hub
from tests.formats import made as forms

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
YAML = re.compile(r"[\w-]+\.yaml")
OUTSIDE = r"https?://(?!127\.0\.0\.1|example\.org|hosts$)\w"
"""An address of another machine; the service's messages name this one, and examples."""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, code) of the fenced blocks."""
    yield from BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data that the documentation speaks of."""
    folder = tmp_path_factory.mktemp("docs")
    photos = folder / "photos"
    pictures.folder(
        photos,
        [
            "train/cat/1.jpg",
            "train/cat/a.jpg",
            "train/dog/b.png",
            "test/dog/c.png",
            "val/cat/d.png",
        ],
    )
    pictures.save(pictures.photo(0), photos / "test/cat/2.jpg", quality=60)
    pictures.save(pictures.photo(2), photos / "train/dog/copy of b.bmp")
    (folder / "no_duplicates.csv").write_text(
        "id_a,id_b,note\ntrain/cat/a.jpg,test/dog/c.png,other animal\n"
    )
    (folder / "duplicates.csv").write_text("id_a,id_b\ntrain/cat/a.jpg,train/dog/b.png\n")
    (folder / "preferred.csv").write_text("id\ntrain/dog/b.png\n")
    scans = [
        "train/cat/1.jpg,train,p1,1",
        "train/cat/a.jpg,train,p2,3",
        "train/dog/b.png,train,p3,2",
    ]
    scans += ["test/dog/c.png,test,p3,5", "test/cat/2.jpg,test,p4,4", "val/cat/d.png,val,p5,4"]
    scans += ["train/dog/copy of b.bmp,train,p3,7"]
    rows_of_scans = "".join(f"photos/{row}\n" for row in scans)
    (folder / "scans.csv").write_text("path,split,patient,score\n" + rows_of_scans)
    names = sorted(path.relative_to(folder).as_posix() for path in photos.rglob("*.*"))
    rows = "".join(
        f"{name},{name},{name.split('/')[1]},{name.split('/')[2]},{name.split('/')[2]}\n"
        for name in names
    )
    (folder / "photos.csv").write_text("path,picture,split,label,animal\n" + rows, encoding="utf-8")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    made = {
        split: datasets.Dataset.from_dict(
            {
                "image": [
                    {"bytes": pictures.encoded(pictures.photo(s), "JPEG"), "path": None}
                    for s in seeds
                ],
                "label": [s % 2 for s in seeds],
            },
            features=features,
        )
        for split, seeds in {"train": (1, 2, 3, 3), "test": (1, 9)}.items()
    }
    datasets.DatasetDict(made).save_to_disk(str(folder / "my_dataset"))
    forms.webdataset(folder / "shards", forms.rows())
    annotated.coco(folder / "coco", forms.rows())
    annotated.yolo(folder / "boxes", forms.rows())
    forms.parquet(folder / "hub" / "main", forms.rows())
    pictures.folder(folder / "benchmark", ["test/x.png", "test/y.png"], first_seed=1)
    pictures.folder(folder / "with_metadata", ["train/1.jpg", "test/2.jpg"])
    for split, name in (("train", "1.jpg"), ("test", "2.jpg")):
        records = [{"file_name": name, "animal": "cat"}]
        forms.table(folder / "with_metadata" / split / "metadata.jsonl", records)
    return folder


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run shell lines in a folder, with this environment's `dedup` in front."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A cache of its own: `datasets` takes folders of one relative name for one dataset.
    environment = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    if "hf://" in command or any(
        "hf://" in (folder / name).read_text()
        for name in YAML.findall(command)
        if (folder / name).exists()  # else the command makes it
    ):
        with hub.serving(folder / "hub") as served:
            return _shell(
                command,
                folder,
                environment | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": served.endpoint},
            )
    return _shell(command, folder, environment)


def _shell(
    command: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(config: Path, workplace: Path) -> None:
    """Each example does what it says on data of the form it names."""
    shutil.copy(config, workplace)
    done = shell(f"dedup run {config.name} --overwrite", workplace)

    expected = 3 if config.stem == "leakage_gate" else 0
    assert expected == done.returncode, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_code_block_runs(page: Path, workplace: Path, tmp_path: Path) -> None:
    """Blocks run in their order, in one folder, as a reader would run them."""
    shutil.copytree(
        workplace,
        tmp_path,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("runs", *(config.name for config in CONFIGS)),
    )
    for language, code in blocks(page):
        if language == "sh" and code.startswith("make"):
            targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
            assert {line.split()[1] for line in code.splitlines()} <= targets
        elif language == "sh":
            done = shell(code, tmp_path)
            assert done.returncode == 0, f"{code}\n{done.stderr}"
        elif language == "python":
            if "demo/run" in code and not (tmp_path / "demo").exists():
                assert shell("dedup demo demo", tmp_path).returncode == 0
            (tmp_path / "block.py").write_text(code, encoding="utf-8")
            done = shell(f"{sys.executable} -W error block.py", tmp_path)
            assert done.returncode == 0, f"{code}\n{done.stderr}"
        else:
            assert language == "yaml", f"{page.name} has a block in {language!r} that no test runs"
            settings = configuration.build(yaml.safe_load(code))
            assert settings.dataset.path is not None or settings.dataset.sources
            name = "my.yaml" if page.name == "README.md" else "block.yaml"
            (tmp_path / name).write_text(code, encoding="utf-8")
            done = shell(f"dedup run {name} -o {tmp_path / 'of_block'} --overwrite", tmp_path)
            assert done.returncode == 0, f"{code}\n{done.stderr}"


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_every_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    """All cells run from top to bottom in an empty folder, and the file holds no results."""
    content = nbformat.read(notebook, as_version=4)

    assert all(not cell.get("outputs") for cell in content.cells)
    NotebookClient(content, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


def test_every_key_is_documented() -> None:
    """docs/configuration.md has a row for each key, with its default, and no row for anything
    else.
    """
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| (\w+\.\w+) \| (.*?) \|", page, re.MULTILINE))
    defaults = configuration.Config().model_dump(mode="json")

    assert set(configuration.keys()) == set(documented)
    for key, text in documented.items():
        section, _, name = key.partition(".")
        # YAML reads a bare `off` as false, and so does the config.
        default = False if defaults[section][name] == "off" else defaults[section][name]
        assert yaml.safe_load(text) == default, key


def test_every_link_leads_somewhere() -> None:
    """Relative links and pictures in the documentation exist."""
    pages = [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert broken == []


def test_the_architecture_names_every_room_and_only_files_that_exist() -> None:
    """What docs/architecture.md answers with is there, and no package or module is left out."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:dedup/)?((?:\w+/)?\w+\.py)`", page))
    rooms = {path.stem for path in (ROOT / "dedup").iterdir() if path.suffix in {"", ".py"}}
    words = set(re.findall(r"\w+", page[page.index("## Layers") : page.index("## The seams")]))

    assert named
    assert [] == sorted(name for name in named if not (ROOT / "dedup" / name).is_file())
    assert [] == sorted(rooms - words - {"__pycache__", "__init__"})


def test_every_page_has_its_place_in_the_site() -> None:
    """The navigation of mkdocs.yml names each page once, and nothing else."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- .*?([\w-]+\.md)$", text, re.MULTILINE)

    assert sorted(page.name for page in PAGES[1:]) == sorted(named)


def test_nothing_outside_the_repository_is_named() -> None:
    """No module of the package names a machine path, a registry or the folder with the real
    photos.
    """
    found = [
        f"{path.name}: {node.value!r}"
        for path in sorted((ROOT / "dedup").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(rf"\.\./shared|/home/|/root/|pypi\.org|{OUTSIDE}", node.value)
    ]

    assert found == []
