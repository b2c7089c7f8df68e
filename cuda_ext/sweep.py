"""PatchMatch in float16 as four launches with a workspace: pack, plan, sweep, finish; see csrc/common/sweep.cuh."""

from itertools import accumulate
from typing import NamedTuple

from cuda_ext.geometry import THREADS, TILE_HEIGHT, TILE_WIDTH, Launch, match_finish_launch

COLUMNS = (128, 64)  # key pixels of a strip's row, in the order in which a GPU with enough shared memory takes them
CHUNK = 64  # channels that are loaded at once
BANDS = 2  # of query rows that threads share
STAGES, QUERY_SLOTS = (3, 2), (4, 2)  # chunks of keys and of queries in shared memory, for each of the strips
WINDOW_HEIGHT, WINDOW_WIDTH = TILE_HEIGHT + 2, TILE_WIDTH + 2
PACK_PIXELS = 64
_ALIGNMENT = 256


class Step(NamedTuple):
    """A launch and the names of its pointers, before and behind its sizes."""

    launch: Launch
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Sweep(NamedTuple):
    """What gives `match`, int32 [N, H, W], from `features`, float16 [N, C, H, W], and `hole`, float16 [N, 1, H, W].

    Attributes:
        steps: one after the other, on one stream.
        offsets: of all other pointers, bytes from the start of a workspace that needs no initial value.
        size: of the workspace.
    """

    steps: tuple[Step, ...]
    offsets: dict[str, int]
    size: int


def shared_bytes(columns: int) -> int:
    """Of a block of the sweep: chunks of queries and of keys, a Gram tile, limits and best keys of the queries."""
    window = WINDOW_HEIGHT * WINDOW_WIDTH
    kind = COLUMNS.index(columns)
    chunks = (QUERY_SLOTS[kind] * window + STAGES[kind] * columns) * CHUNK * 2
    gram = WINDOW_HEIGHT * (WINDOW_WIDTH * columns + 8) * 4
    best = 2 * TILE_HEIGHT * 8 * 4 + TILE_HEIGHT * WINDOW_WIDTH * 8
    return -(-(chunks + gram + best + 112) // 128) * 128  # 112: what the block works on at present


def columns_for(shared_limit: int) -> int:
    """The strip that fits a GPU whose blocks may have `shared_limit` bytes."""
    return next((columns for columns in COLUMNS if shared_bytes(columns) <= shared_limit), COLUMNS[-1])


def plan(count: int, channels: int, height: int, width: int, columns: int, processors: int) -> Sweep:
    """The launches for one shape.

    Args:
        count: N of the features.
        channels: C.
        height: H.
        width: W.
        columns: of `columns_for`.
        processors: multiprocessors of the GPU.
    """
    pixels = height * width
    strips = max(1, -(-(width - 2) // (columns - 2)))
    rows, packs = strips * height, -(-pixels // PACK_PIXELS)
    tiles = -(-height // TILE_HEIGHT) * -(-width // TILE_WIDTH)
    blocks = max(1, processors * (128 // columns) // count)
    depth = -(-channels // CHUNK) * CHUNK
    sizes = {
        "packed": 2 * pixels * depth,
        "best": 8 * pixels,
        "energy": 4 * pixels,
        "scale": 4 * pixels,
        "rows": 4 * rows,
        "costs": 4 * (rows + 1),
        "tiles": 4 * tiles,
        "tile_count": 4,
    }
    ends = list(accumulate(-(-count * size // _ALIGNMENT) * _ALIGNMENT for size in sizes.values()))
    row_blocks = -(-rows // (THREADS // 32))
    pack = Launch("patch_pack_fp16", (row_blocks + packs, 1, count), (channels, height, width, columns))
    listing = Launch("patch_plan_fp16", (1 + -(-pixels // THREADS), 1, count), (height, width, columns))
    sweep = Launch(
        f"patch_sweep_{columns}_fp16",
        (blocks, 1, count),
        (channels, height, width),
        2 * BANDS * columns,
        shared_bytes(columns),
    )
    known = ("hole", "packed", "scale", "rows", "costs", "tiles", "tile_count")
    steps = (
        Step(pack, ("features", "hole"), ("packed", "energy", "best", "rows")),
        Step(listing, ("hole", "energy", "rows"), ("scale", "costs", "tiles", "tile_count")),
        Step(sweep, known, ("best",)),
        Step(match_finish_launch(count * pixels), ("best",), ("match",)),
    )
    return Sweep(steps, dict(zip(sizes, [0, *ends[:-1]], strict=True)), ends[-1])
