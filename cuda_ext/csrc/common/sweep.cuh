// PatchMatch in one sweep: tiles of 6×14 queries meet strips of key columns, row by row, on the tensor cores.
//
// A block keeps the 8×16 pixels of a tile's patches in shared memory and loads the key pixels of one row after the other,
// a few chunks of channels ahead. Each row's products are a Gram tile; `Diagonals` makes scores of it.
#pragma once

#include "plan.cuh"
#include "sweep_scores.cuh"

namespace pix2rt {

// One image as packing and planning left it.
struct Planned {
    Map<Half> map;
    const Half* packed;     // [height · width, whole chunks of channels]
    const float* scale;     // [height · width], NaN where no key is
    const unsigned* rows;   // [strips · height]
    const unsigned* costs;  // [strips · height + 1]
    const int* tiles;
    int tile_count;
};

// Key rows [first, end) of one strip, for one tile.
struct Segment {
    int top, left;     // the window's first pixel, one above and left of the tile's
    int centre, keys;  // the strip's first key and the number of key columns
    int first, end;
    const unsigned* rows;
};

template <int kColumns>
struct Sweep {
    static constexpr int kThreads = 2 * kBands * kColumns;
    static constexpr int kWarpColumns = kColumns / 32;  // warps side by side …
    static constexpr int kPieces = 4 / kBands;          // … each with so many times 16 query pixels
    static constexpr int kStages = pix2rt::kStages[kColumns == 64], kQuerySlots = pix2rt::kQuerySlots[kColumns == 64];
    static_assert(kQuerySlots >= kStages, "queries that do not stay take a slot per stage");

    struct Shared {
        alignas(128) Half queries[kQuerySlots][kWindow * kChunk];
        Half keys[kStages][kColumns * kChunk];
        float gram[kWindowHeight * Diagonals<kColumns>::kRow];
        Best best;
        Planned plan;     // these two are read where they are needed: registers are short
        Segment segment;
    };

    // A chunk of a row of key pixels.
    struct Cursor {
        int row, chunk;
    };

    Shared& shared;
    const Planned& plan;
    const Segment& segment;
    int thread, depth, chunks;
    bool stay;       // the queries' chunks have slots of their own
    int kept = ~0x7fffffff;  // the window whose chunks are in them

    __device__ Sweep(const Planned& given, Shared& shared)
        : shared(shared), plan(shared.plan), segment(shared.segment), thread(threadIdx.x) {
        chunks = chunks_of(given.map.channels);
        depth = chunks * kChunk;
        stay = chunks <= kQuerySlots;
        if (thread == 0) shared.plan = given;
        if (thread < kTileHeight * kWindowWidth) shared.best.packed[thread] = 0;
    }

    __device__ int next_row(int row) const {
        while (row <= segment.end && !(segment.rows[row] & kColumnBits)) ++row;
        return row;
    }

    __device__ void advance(Cursor& cursor) const {
        if (++cursor.chunk < chunks) return;
        cursor.chunk = 0;
        cursor.row = next_row(cursor.row + 1);
    }

    __device__ void load_keys(const Cursor& cursor, int stage) {
        const int thread = recomputed(this->thread);
        const Half* row = plan.packed + static_cast<size_t>(cursor.row) * plan.map.width * depth + cursor.chunk * kChunk;
        const unsigned columns = segment.rows[cursor.row];
#pragma unroll
        for (int i = 0; i < kColumns * kUnits / kThreads; ++i) {
            const int pixel = (thread + i * kThreads) / kUnits, unit = thread % kUnits, x = segment.centre - 1 + pixel;
            if (!(columns >> pixel / 8 & 1)) continue;
            const bool real = x < plan.map.width;
            copy_async(&shared.keys[stage][pixel * kChunk + swizzled(pixel, unit) * 8],
                       row + static_cast<size_t>(real ? x : 0) * depth + unit * 8, real);
        }
    }

    __device__ void load_queries(int chunk, int slot) {
        const int thread = recomputed(this->thread);
#pragma unroll
        for (int i = 0; i < kWindow * kUnits / kThreads; ++i) {
            const int pixel = (thread + i * kThreads) / kUnits, unit = thread % kUnits;
            const int y = segment.top + pixel % kWindowHeight, x = segment.left + pixel / kWindowHeight;
            const bool real = plan.map.contains(y, x);
            const size_t at = real ? static_cast<size_t>(y) * plan.map.width + x : 0;
            copy_async(&shared.queries[slot][pixel * kChunk + swizzled(pixel, unit) * 8],
                       plan.packed + at * depth + chunk * kChunk + unit * 8, real);
        }
    }

    // The chunk at the cursor into the stage of step `step`, as one copy group, empty beyond the last row. Steps before
    // `filling` bring the queries that stay.
    __device__ void load(Cursor& cursor, int step, int filling) {
        if (cursor.row <= segment.end) {
            load_keys(cursor, step % kStages);
            if (!stay || step < filling) load_queries(cursor.chunk, stay ? cursor.chunk : step % kQuerySlots);
            advance(cursor);
        }
        end_copy_group();
    }

    // sums += one chunk's products. `mine` has a bit for each of this warp's four groups of eight columns.
    __device__ void multiply(const Half* queries, const Half* keys, unsigned mine, float (&sums)[kPieces][4][4]) const {
        const int thread = recomputed(this->thread), lane = thread % 32, warp = thread / 32;
        const int query = warp / kWarpColumns * 16 * kPieces + lane % 16;
        const int key = (lane / 16 * kWarpColumns + warp % kWarpColumns) * 8 + lane % 8;
#pragma unroll
        for (int k = 0; k < kUnits; k += 2) {
            const int query_unit = swizzled(lane, k + lane / 16) * 8, key_unit = swizzled(lane, k + lane / 8 % 2) * 8;
            unsigned a[kPieces][4], b[2][4];
#pragma unroll
            for (int j = 0; j < 2; ++j)
                if (mine >> 2 * j & 3) load_matrices(b[j], keys + (key + j * 16 * kWarpColumns) * kChunk + key_unit);
#pragma unroll
            for (int i = 0; i < kPieces; ++i) load_matrices(a[i], queries + (query + i * 16) * kChunk + query_unit);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                if (!(mine >> j & 1)) continue;
                const unsigned part[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
#pragma unroll
                for (int i = 0; i < kPieces; ++i) mma_16x8x16(sums[i][j], a[i], part);
            }
        }
    }

    __device__ void store(const float (&sums)[kPieces][4][4], unsigned mine) {
        const int thread = recomputed(this->thread), lane = thread % 32, warp = thread / 32, group = lane / 4, member = lane % 4;
        float* to = shared.gram + group * Diagonals<kColumns>::kRow + warp / kWarpColumns * 2 * kPieces * kColumns +
                    warp % kWarpColumns * 8 + member * 2;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            if (!(mine >> j & 1)) continue;
#pragma unroll
            for (int i = 0; i < kPieces; ++i)
#pragma unroll
                for (int h = 0; h < 2; ++h)
                    *reinterpret_cast<Pair*>(to + (2 * i + h) * kColumns + j * 8 * kWarpColumns) =
                        Pair{{sums[i][j][2 * h], sums[i][j][2 * h + 1]}};
        }
    }

    struct alignas(8) Pair {
        float value[2];
    };

    __device__ void raise_limits(bool query) {
        const int thread = recomputed(this->thread);
        const int y = thread / kWindowWidth, x = thread % kWindowWidth;
        if (y >= kTileHeight || x >= kTileWidth) return;
        const auto score = static_cast<unsigned>(shared.best.packed[thread] >> 32);
        const float limit = score ? from_ordered_bits(score) : bits_float(0xff800000u);
        shared.best.limits[x / kHalf][y][x % kHalf] = query ? limit : bits_float(0x7f800000u);
    }

    // The Gram tile's sums of one key row, chunk by chunk, while later chunks arrive.
    __device__ void multiply_row(Cursor& next, int& step, int filling, unsigned mine, float (&sums)[kPieces][4][4]) {
        for (int chunk = 0; chunk < chunks; ++chunk, ++step) {
            wait_for_copies<kStages - 2>();
            __syncthreads();
            load(next, step + kStages - 1, filling);
            const Half* queries = shared.queries[stay ? chunk : step % kQuerySlots];
            if (mine == 0xf) multiply(queries, shared.keys[step % kStages], 0xf, sums);
            else multiply(queries, shared.keys[step % kStages], mine, sums);
        }
    }

    // Of the keys one row above, on this thread's diagonal; NaN where none is or its patch is not complete.
    __device__ void load_scales(int row, bool complete, float (&scale)[kHalf]) const {
        const int half = thread / kColumns % 2, diagonal = thread % kColumns;
#pragma unroll
        for (int i = 0; i < kHalf; ++i) {
            const int k = (diagonal + half * kHalf + i) & (kColumns - 1);
            scale[i] = complete && k < segment.keys ? plan.scale[(row - 1) * plan.map.width + segment.centre + k]
                                                    : bits_float(0x7fc00000u);
        }
    }

    // The columns of a row's plan that are this warp's, as `multiply` wants them.
    __device__ unsigned columns_of_warp(unsigned columns) const {
        unsigned mine = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j) mine |= (columns >> (j * kWarpColumns + thread / 32 % kWarpColumns) & 1) << j;
        return mine;
    }

    __device__ void run(const Segment& given, unsigned long long* best) {
        if (thread == 0) shared.segment = given;
        __syncthreads();
        const bool query = has_query();
        const int window = segment.top * plan.map.width + segment.left;
        const int filling = window != kept ? chunks : 0;
        kept = window;
        Diagonals<kColumns> diagonals;
        diagonals.clear();
        Cursor next{next_row(segment.first - 1), 0};
        int row = next.row, step = 0;
        for (int i = 0; i < kStages - 1; ++i) load(next, i, filling);
        while (row <= segment.end) {
            const unsigned mine = columns_of_warp(segment.rows[row]);
            float sums[kPieces][4][4] = {}, scale[kHalf];
            multiply_row(next, step, filling, mine, sums);
            store(sums, mine);
            raise_limits(query);
            const bool complete = row > segment.first;
            load_scales(row, complete, scale);
            __syncthreads();
            const int index = (row - 1) * plan.map.width + segment.centre;
            diagonals.add_row(shared.gram, scale, shared.best, index, complete, recomputed(thread));
            row = next_row(row + 1);
        }
        wait_for_copies<0>();
        __syncthreads();  // before another segment takes this one's place
        flush(best);
    }

    // Whether this thread's pixel of the tile is a query.
    __device__ bool has_query() const {
        const int y = thread / kWindowWidth, x = thread % kWindowWidth;
        return y < kTileHeight && x < kTileWidth && plan.map.is_query(segment.top + 1 + y, segment.left + 1 + x);
    }

    // The tile's best keys to the map's; there is none where no query is.
    __device__ void flush(unsigned long long* best) {
        const int y = segment.top + 1 + thread / kWindowWidth, x = segment.left + 1 + thread % kWindowWidth;
        if (thread >= kTileHeight * kWindowWidth) return;
        if (shared.best.packed[thread]) atomicMax(&best[y * plan.map.width + x], shared.best.packed[thread]);
        shared.best.packed[thread] = 0;
    }
};

// How many of sorted values lie below `value`; by a warp.
__device__ inline int count_below(const unsigned* values, int count, unsigned long long value) {
    const int lane = threadIdx.x % 32;
    int below = 0;
    for (int first = 0; first < count; first += 32)
        below += bits_set(ballot(first + lane < count && values[first + lane] < value));
    return below;
}

// This block's share of all rows of all strips for all tiles: neighbours in this order, about as costly as the others'.
template <int kColumns>
__device__ void sweep_share(const Planned& plan, typename Sweep<kColumns>::Shared& shared, unsigned long long* best) {
    const Strips strips(plan.map.width, kColumns);
    const int height = plan.map.height, rows = strips.count * height;
    const unsigned long long cost = plan.costs[rows], total = cost * plan.tile_count;
    const unsigned long long begin = total * blockIdx.x / gridDim.x, end = total * (blockIdx.x + 1) / gridDim.x;
    if (begin >= end) return;
    Sweep<kColumns> sweep(plan, shared);
    auto tile = static_cast<int>(begin / cost);
    int at = count_below(plan.costs, rows, begin % cost);
    while (tile < plan.tile_count) {
        const unsigned long long before = tile * cost;
        if (at == rows) {
            ++tile;
            at = 0;
            continue;
        }
        if (before + plan.costs[at] >= end) break;
        const int strip = at / height;
        int stop = count_below(plan.costs, rows, end - before);
        if (stop > (strip + 1) * height) stop = (strip + 1) * height;
        const unsigned* strip_rows = plan.rows + strip * height;
        int first = at % height, last = stop - strip * height;
        while (first < last && !(strip_rows[first] & kHasKey)) ++first;
        while (first < last && !(strip_rows[last - 1] & kHasKey)) --last;
        if (first < last) {
            const int centre = 1 + strip * strips.keys, columns_left = plan.map.width - 1 - centre;
            const int keys = strips.keys < columns_left ? strips.keys : columns_left;
            const int top = plan.tiles[tile] / plan.map.width - 1, left = plan.tiles[tile] % plan.map.width - 1;
            sweep.run({top, left, centre, keys, first, last, strip_rows}, best);
        }
        at = stop;
    }
}

}  // namespace pix2rt
