"""Slow twins of the policies: set algebra over the literal pairs of a made-up dataset; nothing
imports the package.

`tests.naive.decide` is the twin of the plain policies; here are those that look further than one
pair.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.naive import Decision, World, by_quality, components

Pictures = frozenset[int]
"""Two pictures that a person has judged."""


@dataclass(frozen=True)
class Policy:
    """What is asked for."""

    leakage: str = "drop_from_train"
    chains: str = "report"
    label_conflicts: str = "report"
    duplicates: str = "keep_best"
    descending: bool = True
    preferred: tuple[int, ...] = ()


def judged(world: World, allowed: set[Pictures], denied: set[Pictures]) -> World:
    """The world in which people are right: allowed pictures are not near, denied ones are, by the
    most.
    """
    near = {pair: facts for pair, facts in world.near.items() if frozenset(pair) not in allowed}
    there = {frozenset(pair) for pair in near}
    for pair in sorted(tuple(sorted(pictures)) for pictures in denied - there):
        near[pair[0], pair[1]] = (0, 0, None)
    return World(world.samples, near, world.area)


def edges(world: World, among: set[int]) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i in sorted(among)
        for j in sorted(among)
        if i < j and world.match(i, j) is not None
    ]


def same_group(world: World, i: int, j: int) -> bool:
    group = world.samples[i].group
    return i != j and group is not None and group == world.samples[j].group


def conflict(world: World, i: int, j: int) -> bool:
    a, b = world.samples[i].label, world.samples[j].label
    return world.match(i, j) is not None and a is not None and b is not None and a != b


def best(world: World, i: int, among: set[int]) -> int | None:
    """The best match of i: identical, most similar, nearest, lowest."""
    found = [(match.rank(), j) for j in among if (match := world.match(i, j)) is not None]
    return min(found)[1] if found else None


def hops(world: World, held_out: Sequence[str], *, to_train: bool = False) -> dict[int, int]:
    """Pairs on the shortest way from each readable sample to a held-out one over readable samples;
    none: absent.

    With `to_train` to one that is not held out.
    """
    readable = world.readable()
    level = {i for i in readable if (world.samples[i].split in held_out) != to_train}
    found = dict.fromkeys(level, 0)
    number = 0
    while level:
        number += 1
        level = {i for i in readable - found.keys() if any(world.match(i, j) for j in level)}
        found |= dict.fromkeys(level, number)
    return found


def keep_order(world: World, policy: Policy) -> list[int]:
    """From the sample that is kept first to the last."""
    ranked = by_quality(world) if policy.duplicates != "keep_first" else list(range(len(world)))
    if policy.duplicates == "keep_by":
        sign = -1 if policy.descending else 1

        def worth(i: int) -> tuple[bool, float]:
            value = world.samples[i].worth
            return (value is None, 0.0 if value is None else sign * float(value))

        ranked = sorted(ranked, key=worth)
    return sorted(
        ranked,
        key=lambda i: policy.preferred.index(i) if i in policy.preferred else len(policy.preferred),
    )


def decide(world: World, held_out: Sequence[str], policy: Policy) -> list[Decision]:
    """What is decided under every policy but `regroup`, in the words of `Decision`."""
    readable = world.readable()
    outside = {i for i in readable if world.samples[i].split in held_out}
    held_out_samples = [i for i in range(len(world)) if world.samples[i].split in held_out]
    train = readable - outside
    decided: dict[int, Decision] = {}

    def drop(i: int, why: str, witness: int | None) -> None:
        match = None if witness is None else world.match(i, witness)
        measured = match is not None and why not in {
            "group leak",
            "group leaked",
            "chain",
            "chained",
        }
        if match is not None and measured:
            decided[i] = Decision("drop", why, witness, match.distance, match.similarity)
        else:
            decided[i] = Decision("drop", why, witness)

    if policy.leakage == "drop_from_train":
        for i in sorted(train):
            if (witness := best(world, i, outside)) is not None:
                drop(i, "leak", witness)
            elif group := [j for j in held_out_samples if same_group(world, i, j)]:
                drop(i, "group leak", group[0])
        if policy.chains == "drop":
            for i in sorted(train - decided.keys()):
                if ends := _ends(world, i, outside):
                    drop(i, "chain", ends[0])
    contradicted = {i for i in train - decided.keys() if contradictor(world, i) is not None}
    if policy.label_conflicts == "drop_all":
        for i in contradicted:
            drop(i, "conflicts", None)
    elif policy.label_conflicts == "drop" and policy.leakage in {"drop_from_train", "report_only"}:
        for i in sorted(train - decided.keys()):
            if (
                witness := best(world, i, {j for j in outside if conflict(world, i, j)})
            ) is not None:
                drop(i, "conflict", witness)
    every = policy.duplicates != "report_only"
    if every or policy.label_conflicts == "drop":
        open_ = train - decided.keys()
        for leader in keep_order(world, policy):
            if leader not in open_:
                continue
            open_.remove(leader)
            for i in sorted(open_):
                if world.match(i, leader) if every else conflict(world, i, leader):
                    drop(i, "duplicate" if every else "conflict", leader)
                    open_.remove(i)
    if policy.leakage == "drop_from_held_out":
        kept = train - decided.keys()
        for i in sorted(outside):
            if (witness := best(world, i, kept)) is not None:
                drop(i, "leaked", witness)
            elif group := [j for j in sorted(kept) if same_group(world, i, j)]:
                drop(i, "group leaked", group[0])
            elif policy.chains == "drop" and (ends := _ends(world, i, kept)):
                drop(i, "chained", ends[0])
    left = readable - decided.keys()
    for i in contradicted if policy.label_conflicts == "drop_all" else ():
        differing = best(world, i, {j for j in left if conflict(world, i, j)})
        left_of_it = best(world, i, left) if differing is None else differing
        drop(i, "conflicts", contradictor(world, i) if left_of_it is None else left_of_it)
    for i in set(range(len(world))) - readable:
        stays = world.samples[i].split in held_out
        group = [j for j in sorted(train - decided.keys()) if same_group(world, i, j)]
        if stays and group and policy.leakage == "drop_from_held_out":
            # Nobody can look at its picture, but its group is in train all the same.
            decided[i] = Decision("unreadable", "group leaked", group[0])
        else:
            decided[i] = Decision("unreadable", "written" if stays else "not written")
    return [decided.get(i, Decision("keep", "kept")) for i in range(len(world))]


def _ends(world: World, start: int, goals: set[int]) -> list[int]:
    """Those of the goals that can be reached; the order says nothing."""
    together = next(c for c in components(len(world), edges(world, world.readable())) if start in c)
    return sorted(together & goals)


def contradictor(world: World, i: int) -> int | None:
    """The best match of i that has another label."""
    return best(world, i, {j for j in world.readable() if conflict(world, i, j)})


def straddling(world: World, held_out: Sequence[str]) -> Iterator[set[int]]:
    """Connected samples, by pairs and by groups, that are in a held-out split and in another
    one.
    """
    readable = world.readable()
    groups = [(i, j) for i in readable for j in readable if i < j and same_group(world, i, j)]
    for together in components(len(world), [*edges(world, readable), *groups]):
        splits = {world.samples[i].split for i in together & readable}
        if len(splits) > 1 and splits & set(held_out):
            yield together & readable


def crossing(
    world: World, split: Mapping[int, str | None], held_out: Sequence[str]
) -> list[tuple[int, int]]:
    """Pairs and groups between a held-out split and another side, for samples that are in these
    splits now.
    """
    return [
        (i, j)
        for i in split
        for j in split
        if split[i] not in held_out
        and split[j] in held_out
        and (world.match(i, j) or same_group(world, i, j))
    ]
