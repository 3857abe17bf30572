"""The search as one would explain it: two loops over Python integers. Imports nothing from the
package.
"""


def distance(one: int, two: int) -> int:
    return (one ^ two).bit_count()


def self_join(codes: list[int], max_distance: int) -> list[tuple[int, int, int]]:
    return [
        (a, b, distance(codes[a], codes[b]))
        for a in range(len(codes))
        for b in range(a + 1, len(codes))
        if distance(codes[a], codes[b]) <= max_distance
    ]


def cross_join(codes: list[int], other: list[int], max_distance: int) -> list[tuple[int, int, int]]:
    return [
        (a, b, distance(codes[a], other[b]))
        for a in range(len(codes))
        for b in range(len(other))
        if distance(codes[a], other[b]) <= max_distance
    ]


def several_hashes(
    hashes: list[list[int]], max_distances: list[int], combine: str
) -> list[tuple[int, int, tuple[int, ...]]]:
    found = []
    n = len(hashes[0])
    for a in range(n):
        for b in range(a + 1, n):
            distances = tuple(distance(codes[a], codes[b]) for codes in hashes)
            near = [d <= t for d, t in zip(distances, max_distances, strict=True)]
            if all(near) if combine == "all" else any(near):
                found.append((a, b, distances))
    return found


# Transforms are numbered identity, mirror, flip, rotate180, transpose, rotate90, transverse,
# rotate270.
INVERSES = [0, 1, 2, 3, 4, 7, 6, 5]


def turned(
    upright: list[list[int]],
    oriented: list[dict[int, list[int]]],
    max_distances: list[int],
    combine: str,
) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """Pairs with the transform that, applied to b, gives a; of several the one that is nearest."""
    found = []
    widths = max_distances  # only one width in these tests, so shares of bits order as bits do
    n = len(upright[0])
    for a in range(n):
        for b in range(a + 1, n):
            best = None
            # Turning b by a transform and turning a by its inverse are one and the same claim about
            # the pair.
            for transform in sorted({0, *oriented[0], *(INVERSES[t] for t in oriented[0])}):
                distances = []
                for codes, turns in zip(upright, oriented, strict=True):
                    if transform == 0:
                        distances.append(distance(codes[a], codes[b]))
                        continue
                    ways = []
                    if transform in turns:
                        ways.append(distance(codes[a], turns[transform][b]))
                    if INVERSES[transform] in turns:
                        ways.append(distance(codes[b], turns[INVERSES[transform]][a]))
                    distances.append(min(ways))
                near = [d <= t for d, t in zip(distances, widths, strict=True)]
                if not (all(near) if combine == "all" else any(near)):
                    continue
                if best is None or sum(distances) < sum(best[1]):
                    best = (transform, tuple(distances))
            if best is not None:
                found.append((a, b, *best))
    return found


def largest_distance(codes: list[int], budget: int, cap: int) -> int | None:
    fitting = None
    for t in range(cap + 1):
        if len(self_join(codes, t)) <= budget:
            fitting = t
    return fitting
