"""The compiled loops of the search. Everything here runs without the interpreter's lock.

Codes are held as *planes*: uint64, shape (words, n + PADDING), word w of all codes side by side, so
that eight codes fill one vector register. Reading up to `PADDING` codes past an end is allowed;
what is found there is not emitted.

All kernels live in one file: numba notices a changed kernel by its file, not by the files it calls
into. They are compiled on the first call and kept in `__pycache__` beside this file or, where that
cannot be written, in numba's folder below the user's cache folder (or NUMBA_CACHE_DIR). Where
neither can be written they are compiled again in every process, which takes a few seconds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from dedup.compiled import compiled

LANES = 8  # codes in one vector of 512 bits; LLVM splits it where registers are narrower
ROWS = 8  # codes compared with each loaded vector: their running minima stay in registers
# codes that one group of rows passes over: 8 KB a word, which stay in the first-level cache
TILE = 1024
CHUNK = 512  # rows of one bucket that share each tile
PADDING = 64
# neighbouring buckets that are fetched before they are compared: memory answers in that time
AHEAD = 12
# room that `scan` needs in its output before it looks at a tile
EMITTED_AT_ONCE = ROWS * (TILE + ROWS)

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I64, LANES)
_HALVES = ir.VectorType(_I32, 2 * LANES)
_FAR = 1 << 20


inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(inline="always")
"""For what is called once for each code: a real call counts references to arrays, which takes 20
ns.
"""


class Side(NamedTuple):
    """Codes of one side of a join, sorted by bucket."""

    planes: NDArray[np.uint64]  # (words, n + PADDING)
    ids: NDArray[np.uint32]  # (n,) number of the code before sorting
    # (2**width + 1,) bucket k holds the positions offsets[k] .. offsets[k + 1] - 1
    offsets: NDArray[np.int64]


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:  # the signature numba calls
    """Number of set bits of a uint64, as LLVM's `ctpop`, which the vectoriser knows."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


def _spread(builder: Any, word: Any) -> Any:
    """A vector with the word in every lane."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, word, _I32(0))

    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    )


def _set_bits(builder: Any, vector: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.v8i64"), [vector]
    )


def _minimum(builder: Any, one: Any, two: Any) -> Any:
    """Lane by lane, as 32-bit halves: distances fit, and AVX-512's 64-bit minimum takes twice as
    long.
    """
    one, two = builder.bitcast(one, _HALVES), builder.bitcast(two, _HALVES)
    return builder.bitcast(builder.select(builder.icmp_unsigned("<", one, two), one, two), _VECTOR)


class _Planes:
    """Address arithmetic on a planes array inside a kernel."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, position: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder = builder
        self.stride = cgutils.unpack_tuple(builder, array.shape)[1]
        self.start = builder.gep(array.data, [position])

    def _at(self, word: Any, position: Any) -> Any:
        builder = self.builder
        return builder.gep(self.start, [builder.add(builder.mul(word, self.stride), position)])

    def spread(self, word: Any, position: Any) -> Any:
        return _spread(self.builder, self.builder.load(self._at(word, position)))

    def vector(self, word: Any, position: Any) -> Any:
        pointer = self.builder.bitcast(self._at(word, position), _VECTOR.as_pointer())
        return self.builder.load(pointer, align=8)


def _least_of_one_word(
    builder: Any, rows: _Planes, codes: _Planes, blocks: Any, least: list[Any]
) -> None:
    spread = [rows.spread(_I64(0), _I64(r)) for r in range(ROWS)]
    with cgutils.for_range(builder, blocks, intp=_I64) as block:
        vector = codes.vector(_I64(0), builder.mul(block.index, _I64(LANES)))
        for r in range(ROWS):
            distance = _set_bits(builder, builder.xor(vector, spread[r]))
            builder.store(_minimum(builder, builder.load(least[r]), distance), least[r])


def _least_of_words(
    builder: Any, rows: _Planes, codes: _Planes, blocks: Any, words: Any, least: list[Any]
) -> None:
    distances = [cgutils.alloca_once(builder, _VECTOR) for _ in range(ROWS)]
    with cgutils.for_range(builder, blocks, intp=_I64) as block:
        for distance in distances:
            builder.store(ir.Constant(_VECTOR, [0] * LANES), distance)
        position = builder.mul(block.index, _I64(LANES))
        with cgutils.for_range(builder, words, intp=_I64) as word:
            vector = codes.vector(word.index, position)
            for r in range(ROWS):
                bits = _set_bits(builder, builder.xor(vector, rows.spread(word.index, _I64(r))))
                builder.store(builder.add(builder.load(distances[r]), bits), distances[r])
        for r in range(ROWS):
            builder.store(
                _minimum(builder, builder.load(least[r]), builder.load(distances[r])), least[r]
            )


@intrinsic
def least_distance(
    typing_context: Any,
    left: Any,
    row: Any,
    right: Any,
    position: Any,
    blocks: Any,
    words: Any,
) -> Any:
    """Least distance of ROWS codes from `row` on to blocks × LANES from `position` on, by `words`
    words.

    Written as vector instructions because a plain loop loses its vectors at the short, uneven ends
    that buckets have.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _Planes(context, builder, signature.args[0], arguments[0], arguments[1])
        codes = _Planes(context, builder, signature.args[2], arguments[2], arguments[3])
        far = ir.Constant(_VECTOR, [_FAR] * LANES)
        least = [cgutils.alloca_once_value(builder, far) for _ in range(ROWS)]

        with builder.if_else(builder.icmp_signed("==", arguments[5], _I64(1))) as (
            one_word,
            more_words,
        ):
            with one_word:
                _least_of_one_word(builder, rows, codes, arguments[4], least)
            with more_words:
                _least_of_words(builder, rows, codes, arguments[4], arguments[5], least)

        total = builder.load(least[0])
        for r in range(1, ROWS):
            total = _minimum(builder, total, builder.load(least[r]))

        kind = ir.FunctionType(_I64, [_VECTOR])
        reduce = cgutils.get_or_insert_function(
            builder.module, kind, "llvm.vector.reduce.umin.v8i64"
        )

        return builder.call(reduce, [total])

    return types.uint64(left, types.int64, right, types.int64, types.int64, types.int64), codegen


@intrinsic
def lanes_within(
    typing_context: Any,
    left: Any,
    row: Any,
    right: Any,
    position: Any,
    words: Any,
    max_distance: Any,
) -> Any:
    """Bit k < LANES is set where codes `row` and `position` + k differ in at most `max_distance`
    bits.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _Planes(context, builder, signature.args[0], arguments[0], arguments[1])
        codes = _Planes(context, builder, signature.args[2], arguments[2], arguments[3])
        distance = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0] * LANES))

        with cgutils.for_range(builder, arguments[4], intp=_I64) as word:
            different = builder.xor(
                codes.vector(word.index, _I64(0)), rows.spread(word.index, _I64(0))
            )
            builder.store(
                builder.add(builder.load(distance), _set_bits(builder, different)), distance
            )

        within = builder.icmp_unsigned("<=", builder.load(distance), _spread(builder, arguments[5]))

        return builder.zext(builder.bitcast(within, ir.IntType(LANES)), _I64)

    return types.uint64(left, types.int64, right, types.int64, types.int64, types.uint64), codegen


@intrinsic
def prefetch(typing_context: Any, planes: Any, position: Any) -> Any:
    """Ask for the cache line of the first word of a code, and go on without waiting for it."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        codes = _Planes(context, builder, signature.args[0], arguments[0], arguments[1])
        pointer = builder.bitcast(codes.start, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, _I32(0), _I32(3), _I32(1)])  # to read, to keep, data

        return context.get_dummy_value()

    return types.void(planes, types.int64), codegen


@inlined
def mixed(planes: Any, position: Any) -> Any:
    """A 64-bit hash of one code (the finaliser of SplitMix64, word by word)."""
    h = np.uint64(0)
    for w in range(planes.shape[0]):
        h = (h ^ planes[w, position]) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(32)

    return h


@inlined
def key_of(planes: Any, position: Any, start: Any, width: Any) -> Any:
    """The bits start .. start + width - 1 of one code as a bucket number; with start -1 bits of its
    hash.
    """
    if width == 0:
        return np.int64(0)
    if start < 0:
        return np.int64(mixed(planes, position) >> np.uint64(64 - width))

    w = start >> 6
    shift = start & 63
    bits = planes[w, position] >> np.uint64(shift)
    if shift + width > 64:
        bits |= planes[w + 1, position] << np.uint64(64 - shift)

    return np.int64(bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)))


@compiled
def count_keys(planes: Any, first: Any, last: Any, start: Any, width: Any, counts: Any) -> None:
    """Adds the sizes of the buckets of positions first .. last - 1 to `counts`."""
    for p in range(first, last):
        counts[key_of(planes, p, start, width)] += 1


@compiled
def scatter(
    planes: Any,
    first: Any,
    last: Any,
    start: Any,
    width: Any,
    cursors: Any,
    to_planes: Any,
    to_ids: Any,
) -> None:
    """Moves the first word of positions first .. last - 1 to their buckets and notes where each
    came from.

    `cursors` has the next free position of every bucket. The other words follow in `gather`: a loop
    over words in here makes LLVM generate code that is six times as slow.
    """
    source, target = planes[0], to_planes[0]
    for p in range(first, last):
        key = key_of(planes, p, start, width)
        to = cursors[key]
        cursors[key] = to + 1
        target[to] = source[p]
        to_ids[to] = p


@compiled
def gather(planes: Any, ids: Any, first: Any, last: Any, to_planes: Any) -> None:
    """Fills positions first .. last - 1 of all words but the first from where `ids` says."""
    for w in range(1, planes.shape[0]):
        source, target = planes[w], to_planes[w]
        for p in range(first, last):
            target[p] = source[ids[p]]


@compiled
def permute(codes: Any, table: Any, first: Any, last: Any, planes: Any) -> None:
    """Writes rows first .. last - 1 of codes (n, words) as planes with their bits in another order.

    `table` (8 * words, 256, words) says for each byte of a code and each value where its bits go.
    """
    words = codes.shape[1]
    for i in range(first, last):
        for w in range(words):
            planes[w, i] = 0
        for w in range(words):
            code = codes[i, w]
            for byte in range(8):
                value = np.int64((code >> np.uint64(8 * byte)) & np.uint64(255))
                for to in range(words):
                    planes[to, i] |= table[8 * w + byte, value, to]


@compiled
def find_leaders(planes: Any, offsets: Any, first: Any, last: Any, leaders: Any) -> None:
    """Notes for every position of a range of buckets the first position in its bucket with the same
    code.
    """
    largest = 1
    for bucket in range(first, last):
        largest = max(largest, offsets[bucket + 1] - offsets[bucket])

    room = 4
    while room < 2 * largest:
        room *= 2

    table = np.empty(room, np.int64)
    for bucket in range(first, last):
        size = 4
        while size < 2 * (offsets[bucket + 1] - offsets[bucket]):
            size *= 2
        table[:size] = -1
        for p in range(offsets[bucket], offsets[bucket + 1]):
            slot = np.int64(mixed(planes, p) & np.uint64(size - 1))
            while True:
                leader = table[slot]
                if leader < 0:
                    table[slot] = p
                    leader = p
                    break
                equal = True
                for w in range(planes.shape[0]):
                    equal = equal and planes[w, p] == planes[w, leader]
                if equal:
                    break
                slot = (slot + 1) & (size - 1)
            leaders[p] = leader


@compiled
def sum_of_neighbours(layers: Any, width: Any) -> None:
    """layers[q, k] becomes the sum of layers[0] over all keys that differ from k in exactly q bits.

    Bit by bit, so that the cost is width × keys × radius instead of one visit for every pair of
    neighbours.
    """
    radius = layers.shape[0] - 1
    for bit in range(width):
        step = 1 << bit
        for base in range(0, 1 << width, 2 * step):
            for q in range(radius, 0, -1):
                for k in range(base, base + step):
                    low = layers[q, k] + layers[q - 1, k + step]
                    layers[q, k + step] += layers[q - 1, k]
                    layers[q, k] = low


@inlined
def found_before(left: Any, i: Any, right: Any, j: Any, bands: Any, band: Any) -> Any:
    """Whether an earlier band has put this pair into neighbouring buckets already."""
    for q in range(band):
        one = key_of(left, i, bands[q, 0], bands[q, 1])
        two = key_of(right, j, bands[q, 0], bands[q, 1])
        if popcount(np.uint64(one ^ two)) <= np.uint64(bands[q, 2]):
            return True
    return False


@inlined
def emit(
    left: Any,
    row: Any,
    last_row: Any,
    right: Any,
    position: Any,
    last_position: Any,
    later: Any,
    bands: Any,
    band: Any,
    t: Any,
    out: Any,
    n: Any,
) -> Any:
    """Appends the pairs of a range of rows with a range of positions that are within the distance
    and new.

    `later`: only positions behind the row. Inlined, so it stands in one place only: compiling it
    takes a second.
    """
    words = left.planes.shape[0]
    one = np.uint64(1)
    for i in range(row, last_row):
        for start in range(position, last_position, LANES):
            lanes = lanes_within(left.planes, i, right.planes, start, words, t)
            while lanes != np.uint64(0):
                j = start + np.int64(popcount(~lanes & (lanes - one)))
                lanes &= lanes - one
                if j >= last_position or (later and j <= i):
                    continue
                if not found_before(left.planes, i, right.planes, j, bands, band):
                    out[n] = (np.uint64(left.ids[i]) << np.uint64(32)) | np.uint64(right.ids[j])
                    n += 1

    return n


@compiled
def scan(
    left: Any,
    right: Any,
    bands: Any,
    band: Any,
    masks: Any,
    within: Any,
    max_distance: Any,
    prefix: Any,
    last: Any,
    state: Any,
    out: Any,
) -> Any:
    """Compares rows of `left` with the neighbouring buckets of `right`; returns the number of pairs
    in `out`.

    `masks` are the differences between the numbers of neighbouring buckets. `within`: both sides
    are the same, and every pair of positions is looked at once. `prefix`: words that are compared
    first. `state` (row, mask, position, row in chunk) is where to go on; the call returns when
    `out` is full or when row `last` is reached.
    """
    start, width = bands[band, 0], bands[band, 1]
    t = np.uint64(max_distance)
    n = 0

    while state[0] < last:
        row = state[0]
        key = key_of(left.planes, row, start, width)
        end = min(left.offsets[key + 1], last, row + CHUNK)
        while state[1] < len(masks):
            neighbour = key ^ masks[state[1]]
            same = within and neighbour == key
            tile = max(right.offsets[neighbour], state[2])
            stop = right.offsets[neighbour + 1]
            if within and neighbour < key:
                stop = tile
            if same:
                tile = max(tile, row)
            while tile < stop:
                until = min(tile + TILE, stop)
                for i in range(max(row, state[3]), end, ROWS):
                    if n + EMITTED_AT_ONCE > len(out):
                        state[2] = tile
                        state[3] = i
                        return n
                    begin = max(tile, i + ROWS) if same else tile
                    blocks = (until - begin + LANES - 1) // LANES
                    near = (
                        blocks > 0
                        and least_distance(left.planes, i, right.planes, begin, blocks, prefix) <= t
                    )
                    last_position = until
                    # A group's own rows: the minimum cannot tell them, each is at distance 0 from
                    # itself.
                    if same and tile <= i < until:
                        begin = i + 1
                        last_position = until if near else min(i + ROWS, stop)
                        near = True
                    if near:
                        n = emit(
                            left,
                            i,
                            min(i + ROWS, end),
                            right,
                            begin,
                            last_position,
                            same,
                            bands,
                            band,
                            t,
                            out,
                            n,
                        )
                state[3] = 0
                tile = until
            state[1] += 1
            state[2] = 0
        state[0] = end
        state[1] = 0

    return n


@compiled
def expand(keys: Any, one: Any, two: Any, within: Any, state: Any, out: Any) -> Any:
    """Pairs of codes as pairs of rows: every row of the first code with every row of the second.

    `one` and `two` are (members, starts): code u stands in the rows members[starts[u]] ..
    members[starts[u + 1] - 1]. `state` (key, row of the first, row of the second) is where to go
    on; returns when `out` is full or at the end.
    """
    n = 0
    while state[0] < len(keys):
        u = np.int64(keys[state[0]] >> np.uint64(32))
        v = np.int64(keys[state[0]] & np.uint64(0xFFFFFFFF))
        size = one[1][u + 1] - one[1][u]
        while state[1] < size:
            a = one[0][one[1][u] + state[1]]
            for q in range(two[1][v] + state[2], two[1][v + 1]):
                if n == len(out):
                    state[2] = q - two[1][v]
                    return n
                b = two[0][q]
                first, second = (b, a) if within and b < a else (a, b)
                out[n] = (np.uint64(first) << np.uint64(32)) | np.uint64(second)
                n += 1
            state[1] += 1
            state[2] = 0
        state[0] += 1
        state[1] = 0

    return n


@compiled
def expand_groups(members: Any, starts: Any, last: Any, state: Any, out: Any) -> Any:
    """All pairs of rows inside each group up to `last`; `state` (group, first, second) as in
    `expand`.
    """
    n = 0
    while state[0] < last:
        begin = starts[state[0]]
        size = starts[state[0] + 1] - begin
        while state[1] < size:
            a = np.uint64(members[begin + state[1]]) << np.uint64(32)
            for q in range(max(state[1] + 1, state[2]), size):
                if n == len(out):
                    state[2] = q
                    return n
                out[n] = a | np.uint64(members[begin + q])
                n += 1
            state[1] += 1
            state[2] = 0
        state[0] += 1
        state[1] = 0

    return n


@compiled
def distances(codes: Any, other: Any, keys: Any, out: Any) -> None:
    """Distance of every pair of rows (row of codes << 32 | row of other)."""
    words = codes.shape[1]
    for k in range(len(keys)):
        i = np.int64(keys[k] >> np.uint64(32))
        j = np.int64(keys[k] & np.uint64(0xFFFFFFFF))
        total = np.uint64(0)
        for w in range(words):
            total += popcount(codes[i, w] ^ other[j, w])
        out[k] = total


@compiled
def rename(keys: Any, one: Any, two: Any, within: Any) -> None:
    """Pairs of codes as pairs of rows, in place, where code u stands in row one[u] (or two[u])
    only.
    """
    for k in range(len(keys)):
        a = one[np.int64(keys[k] >> np.uint64(32))]
        b = two[np.int64(keys[k] & np.uint64(0xFFFFFFFF))]
        first, second = (b, a) if within and b < a else (a, b)
        keys[k] = (np.uint64(first) << np.uint64(32)) | np.uint64(second)


@compiled
def count_leaders(leaders: Any, first: Any, last: Any) -> Any:
    """How many of the positions first .. last - 1 are their own leaders."""
    found = 0
    for p in range(first, last):
        found += leaders[p] == p
    return found


@compiled
def number_groups(leaders: Any, first: Any, last: Any, groups: Any, sizes: Any, state: Any) -> None:
    """Numbers the groups by their leaders and counts them; to be called from front to back.

    `state[0]`: groups so far. A leader stands before its followers, so its number is known when
    they come.
    """
    for p in range(first, last):
        leader = leaders[p]
        if leader == p:
            groups[p] = state[0]
            state[0] += 1
        else:
            groups[p] = groups[leader]
        sizes[groups[p]] += 1


@compiled
def gather_groups(
    groups: Any,
    leaders: Any,
    ids: Any,
    planes: Any,
    first: Any,
    last: Any,
    cursors: Any,
    members: Any,
    to_planes: Any,
) -> None:
    """Writes the ids of positions first .. last - 1 by group, in order, and each group's code to
    its number.

    `cursors` has the next free place of every group.
    """
    for p in range(first, last):
        group = groups[p]
        members[cursors[group]] = ids[p]
        cursors[group] += 1
        if leaders[p] == p:
            for w in range(planes.shape[0]):
                to_planes[w, group] = planes[w, p]


@compiled
def split(keys: Any, codes: Any, other: Any, a: Any, b: Any, distance: Any) -> None:
    """Pairs of rows as two columns, with the distance of each pair as the third."""
    for k in range(len(keys)):
        i = np.int64(keys[k] >> np.uint64(32))
        j = np.int64(keys[k] & np.uint64(0xFFFFFFFF))
        total = np.uint64(0)
        for w in range(codes.shape[1]):
            total += popcount(codes[i, w] ^ other[j, w])
        a[k] = i
        b[k] = j
        distance[k] = total


@inlined
def slice_of(key: Any, n_rows: Any, n_slices: Any) -> Any:
    """Which of the slices of equally many first rows a pair belongs to."""
    return np.int64((key >> np.uint64(32)) * np.uint64(n_slices) // np.uint64(n_rows))


@compiled
def count_slices(keys: Any, n_rows: Any, sizes: Any) -> None:
    """Adds to `sizes` how many of these pairs each slice gets."""
    for k in range(len(keys)):
        sizes[slice_of(keys[k], n_rows, len(sizes))] += 1


@compiled
def move_to_slices(keys: Any, n_rows: Any, cursors: Any, out: Any) -> None:
    """Moves pairs to their slices; `cursors` has the next free place of each."""
    for k in range(len(keys)):
        part = slice_of(keys[k], n_rows, len(cursors))
        out[cursors[part]] = keys[k]
        cursors[part] += 1


@compiled
def near_in_band(
    asked: Any,
    planes: Any,
    ids: Any,
    offsets: Any,
    bands: Any,
    band: Any,
    masks: Any,
    max_distance: Any,
    out: Any,
    n: Any,
) -> Any:
    """Appends the rows whose codes are within the distance of one code and neighbours of it in this
    band.

    `asked` has the one code at position 0. `masks`: differences between the keys of neighbouring
    buckets. Rows that an earlier band has found are left out. Returns how many rows there are now:
    more than `out` has room for means that the rest was counted only.
    """
    words, one, t = planes.shape[0], np.uint64(1), np.uint64(max_distance)
    key = key_of(asked, 0, bands[band, 0], bands[band, 1])
    n_masks = len(masks)
    for m in range(min(AHEAD, n_masks)):
        prefetch(planes, offsets[key ^ masks[m]])

    for m in range(n_masks):
        bucket = key ^ masks[m]
        first, last = offsets[bucket], offsets[bucket + 1]
        if m + AHEAD < n_masks:
            later = offsets[key ^ masks[m + AHEAD]]
            prefetch(planes, later)
            prefetch(planes, later + LANES)
        for start in range(first, last, LANES):
            lanes = lanes_within(asked, 0, planes, start, words, t)
            while lanes != np.uint64(0):
                at = start + np.int64(popcount(~lanes & (lanes - one)))
                lanes &= lanes - one
                if at < last and not found_before(asked, 0, planes, at, bands, band):
                    if n < len(out):
                        out[n] = ids[at]
                    n += 1

    return n


@compiled
def near_in_rows(
    asked: Any, planes: Any, first: Any, last: Any, max_distance: Any, out: Any, n: Any
) -> Any:
    """Appends the rows first .. last - 1 whose codes are within the distance of one code: every one
    is compared.

    `asked`, `out` and what is returned are as in `near_in_band`.
    """
    words, one, t = planes.shape[0], np.uint64(1), np.uint64(max_distance)
    for start in range(first, last, LANES):
        lanes = lanes_within(asked, 0, planes, start, words, t)
        while lanes != np.uint64(0):
            at = start + np.int64(popcount(~lanes & (lanes - one)))
            lanes &= lanes - one
            if at < last:
                if n < len(out):
                    out[n] = at
                n += 1

    return n


@compiled
def distances_to(asked: Any, planes: Any, rows: Any, out: Any) -> None:
    """Distances of one code, at position 0 of `asked`, to the codes in these rows."""
    for k in range(len(rows)):
        total = np.uint64(0)
        for w in range(planes.shape[0]):
            total += popcount(asked[w, 0] ^ planes[w, rows[k]])
        out[k] = total
