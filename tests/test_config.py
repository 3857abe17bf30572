"""The configuration: validated once, every problem named at once, every `auto` resolved to a
number.
"""

from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from dedup.config import Config, build, keys, load, normal_split, read_yaml, resolve
from dedup.errors import ConfigError


def problems(settings: dict[str, Any], *overrides: str) -> tuple[str, ...]:
    """What is wrong with the settings; fails when nothing is."""
    with pytest.raises(ConfigError) as caught:
        build(settings, overrides)
    assert "\n".join(caught.value.problems) == str(caught.value)
    return caught.value.problems


def yaml_file(folder: Path, text: str) -> Path:
    """A YAML file of the text."""
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# --- mistakes -------------------------------------------------------------------------------------


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    """Three mistakes in three sections are three lines, each with the file, the dotted key and the
    nearest key.
    """
    path = yaml_file(
        tmp_path,
        "dataset: {pth: photos}\nhash: {bits: 65}\nsearch: {max_distnce: 8}\npolicy: {leakage:"
        " drop_from_trian}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    found = caught.value.problems

    assert 4 == len(found)
    assert all(line.startswith(f"{path}: ") for line in found)
    by_key = {line.removeprefix(f"{path}: ").partition(": ")[0]: line for line in found}
    assert {"dataset.pth", "hash.bits", "search.max_distnce", "policy.leakage"} == set(by_key)
    assert "Did you mean 'dataset.path'?" in by_key["dataset.pth"]
    assert "Did you mean 'search.max_distance'?" in by_key["search.max_distnce"]
    assert "Did you mean 'drop_from_train'?" in by_key["policy.leakage"]
    assert "65" in by_key["hash.bits"]


@pytest.mark.parametrize(
    ("settings", "key", "nearest"),
    [
        ({"serach": {}}, "serach", "search"),
        ({"polcy": {"held_out": []}}, "polcy", "policy"),
        ({"hash": {"algorithm": "dhash"}}, "hash.algorithm", "hash.algorithms"),
        ({"output": {"directory": "x"}}, "output.directory", "output.dir"),
        ({"search": {"max-distance": 8}}, "search.max-distance", "search.max_distance"),
        ({"search": {"max distance": 8}}, "search.max distance", "search.max_distance"),
    ],
)
def test_unknown_keys_are_named_with_the_nearest(
    settings: dict[str, Any], key: str, nearest: str
) -> None:
    """An unknown key is refused by its own name, hyphens and blanks included, and the nearest known
    one is given.
    """
    (line,) = problems(settings)

    assert f"config: {key}: unknown key. Did you mean {nearest!r}?" == line


def test_a_distance_beyond_the_code_is_named_beside_other_problems() -> None:
    """Every problem at once holds for those between two keys as well."""
    found = problems(
        {"hash": {"bits": 64}, "search": {"max_distance": 65}, "policy": {"leekage": "report_only"}}
    )

    assert any("policy.leekage" in line for line in found)
    assert any("search.max_distance" in line and "65" in line for line in found)


def test_pdq_has_one_width() -> None:
    """PDQ with other than its 256 bits is an error that says what to set."""
    (line,) = problems({"hash": {"algorithms": ["pdq"]}})

    assert "hash.bits: got 64; pdq has 256 bits only. Set hash.bits: 256" in line
    assert build({"hash": {"algorithms": ["pdq", "phash"], "bits": 256}}).hash.bits == 256


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hash.bits", 128),
        ("hash.bits", "64"),
        ("hash.algorithms", []),
        ("hash.algorithms", ["dhash", "dhash"]),
        ("hash.algorithms", ["dhash", "sift"]),
        ("hash.algorithms", 5),
        ("hash.background", "white"),
        ("hash.background", "#fff"),
        ("hash.max_pixels", 0),
        ("hash.max_pixels", 1.5),
        ("search.max_distance", -1),
        ("search.max_distance", 65),
        ("search.max_distance", 8.0),
        ("search.max_distance", True),
        ("search.max_distance", "8"),
        ("search.max_distance", "automatic"),
        ("search.max_distance", {"dhash": 8}),
        ("search.max_distance", {"dhash": 8, "whash": 8}),
        ("search.max_distance", {"dhash": 8, "phash": "auto"}),
        ("search.max_distance", {"dhash": 8, "phash": 65}),
        ("search.combine", "some"),
        ("search.max_candidates", -5),
        ("verify.method", "ncc"),
        ("verify.min_similarity", 1.01),
        ("verify.min_similarity", -0.1),
        ("verify.min_similarity", "high"),
        ("verify.min_similarity", True),
        ("policy.held_out", 5),
        ("policy.leakage", None),
        ("policy.duplicates", "keep_all"),
        ("policy.unreadable", "raise"),
        ("gate.max_leakage", 2),
        ("gate.max_unreadable", "5%"),
        ("output.splits", "csv"),
        ("output.files", "move"),
        ("output.report", "yes"),
        ("engine.workers", -1),
        ("engine.workers", 1.5),
    ],
)
def test_wrong_values_are_refused(key: str, value: object) -> None:
    """Each wrong value is refused, in one line that names its key."""
    section, _, name = key.partition(".")
    found = problems({section: {name: value}})

    assert 1 == len(found), found
    assert key in found[0]


def test_a_section_whose_keys_are_all_commented_out() -> None:
    """In YAML such a section is null: it has its defaults."""
    assert build({"hash": None}) == build({})


@pytest.mark.parametrize("section", [5, "text", ["a"], 0, False, []])
def test_a_section_that_is_none(section: object) -> None:
    """A section that holds no keys is refused by its name."""
    (line,) = problems({"hash": section})

    assert line.startswith("config: hash: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dataset: [unclosed", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("- a\n- b\n", "got list"),
        ("just a text", "got str"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str, expected: str) -> None:
    """A file that is no YAML, or holds no sections, is refused with its name and in one line."""
    path = yaml_file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is not UTF-8 are config errors that name the
    file.
    """
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"dataset: {path: caf\xe9}")
    for path in (tmp_path / "none.yaml", tmp_path, latin):
        with pytest.raises(ConfigError, match=r".+") as caught:
            load(path)

        assert str(caught.value).startswith(f"{path}: ")


# --- values ---------------------------------------------------------------------------------------


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """A file without a setting is the default configuration, and equals one built from nothing."""
    assert Config() == load(yaml_file(tmp_path, "# nothing\n")) == build({})


def test_overrides_win() -> None:
    """`section.key=value` replaces what the file says, is read as YAML, and makes its section where
    there is none.
    """
    config = build(
        {"search": {"max_distance": 3}},
        [
            "search.max_distance=8",
            "hash.algorithms=[ahash, whash]",
            "policy.held_out=test",
            "gate.max_leakage=0.0",
        ],
    )

    assert 8 == config.search.max_distance
    assert ("ahash", "whash") == config.hash.algorithms
    assert ("test",) == config.policy.held_out
    assert 0.0 == config.gate.max_leakage


@pytest.mark.parametrize(
    ("old", "new"),
    [("allow_list", "not_duplicates_list"), ("deny_list", "duplicates_list")],
)
def test_old_names_of_lists(
    old: str, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are read from files, overrides and options, with a note; given twice they are a
    problem.
    """
    of_file = load(yaml_file(tmp_path, f"policy: {{{old}: a.csv}}"))
    of_override = build({}, [f"policy.{old}=b.csv"])
    of_option = build({}, options={f"policy.{old}": "c.csv"})

    assert str(tmp_path / "a.csv") == getattr(of_file.policy, new)
    assert "b.csv" == getattr(of_override.policy, new)
    assert "c.csv" == getattr(of_option.policy, new)
    assert [f"policy.{old} is called policy.{new} now; it is read all the same."] * 3 == (
        caplog.messages
    )
    assert problems({"policy": {old: "a.csv", new: "b.csv"}}) == (
        f"policy.{old} is the old name of policy.{new}; give one of them.",
    )


def test_overrides_change_nothing_of_the_callers() -> None:
    """The settings that are passed in stay as they are."""
    settings = {"search": {"max_distance": 3}}
    build(settings, ["search.max_distance=8"])

    assert {"search": {"max_distance": 3}} == settings


@pytest.mark.parametrize(
    "override", ["", "search", "search.max_distance", "max_distance=8", "search.=8", "=8"]
)
def test_overrides_of_another_shape(override: str) -> None:
    """What is not `section.key=value` is named together with the shape that is expected."""
    (line,) = problems({}, override)

    assert f"--set {override!r}" in line
    assert "section.key=value" in line


def test_problems_of_overrides_join_the_others() -> None:
    """Malformed overrides, unknown keys in overrides and mistakes in the settings are all named at
    once.
    """
    found = problems({"hash": {"bits": 7}}, "nonsense", "search.max_distnce=8", "search.combine=[")

    assert 4 == len(found)
    for part in ("nonsense", "search.max_distnce", "search.combine=[", "hash.bits"):
        assert any(part in line for line in found)


@pytest.mark.parametrize(
    "text", ["a: b", "#1", "[x", "null", "1e3", 'quo"te', "new\nline", "é🦊", " blank "]
)
def test_options_are_taken_as_they_are(text: str) -> None:
    """What the command line gives as an option is no YAML: any text arrives unchanged."""
    got = build({}, (), {"output.dir": text}).output.dir

    assert text == got


def test_path_is_relative_to_the_file(tmp_path: Path) -> None:
    """`dataset.path` is taken from where the YAML lies; absolute paths, URLs and overrides are not
    touched.
    """
    path = yaml_file(tmp_path, "dataset: {path: photos/all}\n")
    assert str(tmp_path / "photos/all") == load(path).dataset.path
    assert "here" == load(path, ["dataset.path=here"]).dataset.path
    assert "photos" == build({"dataset": {"path": "photos"}}).dataset.path

    for fixed in ("/data/photos", "hf://datasets/org/name"):
        yaml_file(tmp_path, f"dataset: {{path: '{fixed}'}}\n")
        assert fixed == load(path).dataset.path


def test_frozen() -> None:
    """Neither a section nor a value can be changed after validation."""
    config = Config()
    with pytest.raises(pydantic.ValidationError):
        config.search = config.search
    with pytest.raises(pydantic.ValidationError):
        config.search.max_distance = 3


def test_keys_are_those_of_the_model() -> None:
    """The dotted keys are the sections and fields of the default configuration."""
    settings = Config().model_dump()

    assert {f"{section}.{key}" for section, values in settings.items() for key in values} == set(
        keys()
    )


def test_a_stored_config_is_read_again() -> None:
    """What `run.json` keeps of a config builds the same config."""
    config = build(
        {
            "hash": {"algorithms": ["dhash", "phash"]},
            "search": {"max_distance": {"dhash": 4, "phash": 9}},
        },
        ["policy.held_out=[test]", "verify.min_similarity=0.5"],
    )

    assert config == build(config.model_dump(mode="json"))


# --- resolve --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train", "test", "validation"], ("test", "validation")),
        (["train"], ()),
        (["train", None, "fold"], ("fold",)),
        (["test", "validation"], ()),
        ([None], ()),
    ],
)
def test_held_out_is_every_split_but_train(
    splits: list[str | None], expected: tuple[str, ...]
) -> None:
    """By default every split but train is held out; without train none is."""
    assert expected == resolve(Config(), splits).splits.held_out
    assert expected == resolve(Config(), reversed(splits)).splits.held_out


def test_held_out_named() -> None:
    """Named splits are held out, by any of their usual names, and the others are not."""
    splits = ["train", "test", "validation", "extra"]

    assert ("validation",) == resolve(
        build({"policy": {"held_out": "val"}}), splits
    ).splits.held_out
    assert ("test", "validation") == resolve(
        build({"policy": {"held_out": ["TEST", "dev"]}}), splits
    ).splits.held_out
    assert () == resolve(build({"policy": {"held_out": []}}), splits).splits.held_out


def test_held_out_unknown() -> None:
    """A held-out split without a sample is refused, with the splits that there are; so are all
    splits at once.
    """
    with pytest.raises(ConfigError, match=r"'holdout'.*'test', 'train'"):
        resolve(build({"policy": {"held_out": ["holdout", "test"]}}), ["train", "test"])
    with pytest.raises(ConfigError, match="no splits"):
        resolve(build({"policy": {"held_out": "test"}}), [None])
    with pytest.raises(ConfigError, match="every split"):
        resolve(build({"policy": {"held_out": ["train", "test"]}}), ["train", "test"])


@pytest.mark.parametrize(("bits", "expected"), [(64, 16), (256, 64), (1024, 256)])
def test_auto_distance(bits: int, expected: int) -> None:
    """`auto` goes at the most to the same share of the bits at every width, for every algorithm."""
    resolved = resolve(build({"hash": {"bits": bits, "algorithms": ["whash", "ahash"]}}), ["train"])

    assert {"whash": expected, "ahash": expected} == resolved.search.max_distance
    assert ["whash", "ahash"] == list(resolved.search.max_distance)


def test_distances_named_per_algorithm() -> None:
    """One number counts for all algorithms, and a mapping gives each its own; zero and all bits are
    allowed.
    """
    one = resolve(build({"search": {"max_distance": 0}}), ["train"])
    each = resolve(build({"search": {"max_distance": {"phash": 64, "dhash": 3}}}), ["train"])

    assert {"dhash": 0, "phash": 0} == one.search.max_distance
    assert {"dhash": 3, "phash": 64} == each.search.max_distance


def test_similarity_resolved() -> None:
    """`auto` is the least that any pair needs, a number is itself, and without verification there
    is none.
    """
    assert 0.87 == resolve(Config(), ["train"]).acceptance.min_similarity
    assert (
        0.25
        == resolve(build({"verify": {"min_similarity": 0.25}}), ["train"]).acceptance.min_similarity
    )
    assert (
        1.0
        == resolve(build({"verify": {"min_similarity": 1}}), ["train"]).acceptance.min_similarity
    )
    assert (
        resolve(
            build({"verify": {"method": "none", "min_similarity": 0.5}}), ["train"]
        ).acceptance.min_similarity
        is None
    )


def test_fingerprint_is_of_what_decides_the_tables() -> None:
    """Folders, engine, output and gate do not count; everything else does."""
    base = build({"dataset": {"path": "a"}}).fingerprint_part()
    for same in (
        "dataset.path=b",
        "output.dir=x",
        "output.splits=none",
        "engine.workers=3",
        "gate.max_leakage=0.1",
    ):
        assert base == build({}, [same]).fingerprint_part(), same
    for other in (
        "dataset.label_column=x",
        "dataset.default_split=test",
        "hash.bits=256",
        "hash.background='#000000'",
        "hash.max_pixels=5",
        "search.max_distance=3",
        "verify.method=none",
        "policy.held_out=[]",
        "policy.unreadable=keep",
    ):
        assert base != build({}, [other]).fingerprint_part(), other


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        ("train", ["train", "Train", "TRAIN", "training"]),
        (
            "validation",
            ["validation", "val", "VALID", "dev", "Dev", "eval", "Validation", "evaluation"],
        ),
        ("test", ["test", "TEST", "testing"]),
    ],
)
def test_usual_names_of_splits(expected: str, names: list[str]) -> None:
    """Other names and spellings of the three usual splits mean these; unusual ones are left as they
    are.
    """
    assert {expected} == {normal_split(name) for name in names}
    assert ["Fold1", "trainval", "holdout"] == [
        normal_split(n) for n in ("Fold1", "trainval", "holdout")
    ]
    assert [None, None, None] == [normal_split(n) for n in (None, "", " ")]


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
)
"""Some 600 bytes that stand for 10¹² values."""


class TestYaml:
    @pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "a: &a {b: *a}"])
    def test_a_bomb_is_refused(self, tmp_path: Path, text: str) -> None:
        """Aliases that expand to more than anybody writes end in one message, in a config as in an
        override.
        """
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(ConfigError, match="not valid YAML"):
            load(tmp_path / "run.yaml")
        with pytest.raises(ConfigError, match="not valid YAML"):
            build({}, [f"policy.held_out={text}"])

    def test_merge_keys_of_a_bomb(self, tmp_path: Path) -> None:
        """Mappings that are merged into each other again and again are counted, too."""
        lines = ["m0: &m0 {a: 1, b: 2}"] + [
            f"m{k}: &m{k} {{<<: [{', '.join([f'*m{k - 1}'] * 10)}]}}" for k in range(1, 12)
        ]
        (tmp_path / "run.yaml").write_text("\n".join(lines))
        with pytest.raises(ConfigError, match="not valid YAML"):
            load(tmp_path / "run.yaml")

    @pytest.mark.parametrize(
        "value",
        [
            *("!!bool x", "!!timestamp x", '!!int ""', "!!int _", "!!float _", '"\\Uffffffff"'),
            *("1" + ":00" * 1_000 + ".5", "!!int [1]", "!!binary é", "2020-13-45", "!!set [a]"),
        ],
    )
    def test_values_that_are_not_what_they_are_declared_to_be(
        self, tmp_path: Path, value: str
    ) -> None:
        """Whatever the constructors of values raise is one message."""
        (tmp_path / "run.yaml").write_text(f"policy: {{held_out: [{value}]}}", encoding="utf-8")
        with pytest.raises(ConfigError, match="not valid YAML"):
            load(tmp_path / "run.yaml")

    @pytest.mark.parametrize(
        "value", ["1" + ":00" * 1_000_000, "0x" + "f" * 100_000, "1" + ":00" * 100_000 + ".5"]
    )
    def test_endless_numbers(self, value: str) -> None:
        """A number in base 60 takes time by the square of its length, so its length is bounded."""
        with pytest.raises(yaml.YAMLError, match="more than 4,300 digits"):
            read_yaml(f"a: {value}")

    def test_aliases_of_people(self, tmp_path: Path) -> None:
        """A value that is written once and used twice is what aliases are for."""
        (tmp_path / "run.yaml").write_text(
            "policy: {held_out: &names [test, validation]}\nhash: {algorithms: [phash]}\n"
        )
        (tmp_path / "other.yaml").write_text(
            "search: &s {max_distance: 4}\nverify: {method: none}\n"
        )

        assert load(tmp_path / "run.yaml").policy.held_out == ("test", "validation")
        assert load(tmp_path / "other.yaml").search.max_distance == 4
        assert {"a": [1, 1]} == read_yaml("a: [&one 1, *one]")
