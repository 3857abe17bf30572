"""What one COCO file says of some images, carried into another one: ids, categories and licences
are made to fit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Said = dict[str, Any]
Numbers = dict[Any, Any]
"""New ids by old ones."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Images, their annotations, and the categories and licences that these name."""

    images: list[Said]
    annotations: list[Said]
    categories: list[Said]
    licences: list[Said]

    @classmethod
    def of(cls, content: Mapping[str, Any], changes: Mapping[Any, Said]) -> "Carried":
        """What `content` says of the images whose ids are in `changes`, with these values in place
        of its own.
        """
        images = [
            image | changes[image["id"]] for image in content["images"] if image["id"] in changes
        ]
        annotations = [
            one | {"image_id": changes[one["image_id"]]["id"]}
            for one in content.get("annotations", ())
            if one.get("image_id") in changes
        ]

        return cls(
            images, annotations, _listed(content, "categories"), _listed(content, "licenses")
        )

    def put_into(self, content: dict[str, Any]) -> None:
        """Add it to the content of another file, whose own rows stay as they are."""
        categories = _united(
            content,
            "categories",
            self.categories,
            {one.get("category_id") for one in self.annotations},
        )
        licences = _united(
            content, "licenses", self.licences, {image.get("license") for image in self.images}
        )
        content["images"] += [_renamed(image, "license", licences) for image in self.images]
        ids = Ids(one.get("id") for one in content.get("annotations", ()))

        for one in self.annotations:
            number = {"id": ids.take(one["id"])} if "id" in one else {}
            content.setdefault("annotations", []).append(
                _renamed(one, "category_id", categories) | number
            )


def united(content: dict[str, Any], aliases: Mapping[Any, Any]) -> dict[str, Any]:
    """The content with every image once: ids in `aliases` become the id that the image has besides.

    Annotations of both are kept, those that say the same once.
    """
    if not aliases:
        return content

    content["images"] = [image for image in content["images"] if image["id"] not in aliases]
    kept: dict[str, Said] = {}
    for one in content.get("annotations", ()):
        image = aliases.get(one.get("image_id"), one.get("image_id"))
        text = json.dumps({**one, "id": None, "image_id": image}, sort_keys=True)
        kept.setdefault(
            text if image in aliases.values() else f"{len(kept)}", one | {"image_id": image}
        )

    if "annotations" in content:
        content["annotations"] = list(kept.values())

    return content


class Ids:
    """Ids that are taken: numbers or texts."""

    def __init__(self, taken: Iterable[Any] = ()) -> None:
        self._taken = set(taken)
        self._highest = max((one for one in self._taken if isinstance(one, int)), default=0)

    def take(self, wanted: Any) -> Any:
        """The id, or another one where it is taken already."""
        one, k = wanted, 2
        while one in self._taken:
            one, k = self._highest + 1 if isinstance(wanted, int) else f"{wanted}_{k}", k + 1

        self._taken.add(one)
        if isinstance(one, int):
            self._highest = max(self._highest, one)

        return one


def _listed(content: Mapping[str, Any], key: str) -> list[Said]:
    return [one for one in content.get(key) or () if isinstance(one, dict) and "id" in one]


def _united(content: dict[str, Any], key: str, others: Iterable[Said], used: set[Any]) -> Numbers:
    """The ids here of what is used there: of the entry that says the same, else of one that is
    added.
    """
    here = _listed(content, key)
    ids = Ids(one["id"] for one in here)
    known = {_said(one): one["id"] for one in reversed(here)}
    numbers: Numbers = {}

    for one in others:
        if one["id"] not in used:
            continue
        if _said(one) not in known:
            known[_said(one)] = ids.take(one["id"])
            content[key] = [*(content.get(key) or ()), one | {"id": known[_said(one)]}]
        numbers[one["id"]] = known[_said(one)]

    return numbers


def _said(entry: Said) -> str:
    """What tells an entry from others: its name, or all but its id where it has none."""
    return (
        str(entry["name"])
        if "name" in entry
        else repr(sorted((k, v) for k, v in entry.items() if k != "id"))
    )


def _renamed(entry: Said, key: str, numbers: Numbers) -> Said:
    return entry | {key: numbers[entry[key]]} if entry.get(key) in numbers else entry
