// What a sweep needs to know of the hole: which key pixels matter, how much each row costs, where queries are.
#pragma once

#include "sweep_sizes.cuh"

namespace pix2rt {

constexpr unsigned kRowCost = 40;  // of a row of key pixels beside 1 for each group of eight that it needs

// Bits of one row of a strip, by a warp.
template <typename T>
__device__ unsigned plan_row(const Map<T>& map, int columns, int strip, int row) {
    const Strips strips(map.width, columns);
    const int centre = 1 + strip * strips.keys, lane = threadIdx.x % 32;
    unsigned bits = 0;
    for (int k = lane; k < strips.keys; k += 32) {
        bool blocked[5];
        for (int i = 0; i < 5; ++i) blocked[i] = map.blocks_key(row - 2 + i, centre + k);
        const bool own = !(blocked[1] || blocked[2] || blocked[3]);
        if (own) bits |= kHasKey;
        if (own || !(blocked[0] || blocked[1] || blocked[2]) || !(blocked[2] || blocked[3] || blocked[4]))
            bits |= 1u << k / 8 | 1u << (k + 2) / 8;
    }
    for (int k = lane; k < strips.keys + 2; k += 32)
        if (centre - 1 + k < map.width && map.missing(row, centre - 1 + k)) bits |= kHasHole;
    return or_of_warp(bits);
}

// prefix[i] = cost of the rows before i, over all strips; by one warp.
__device__ inline void plan_costs(const unsigned* rows, int count, unsigned* prefix) {
    const int lane = threadIdx.x % 32;
    unsigned before = 0;
    for (int first = 0; first <= count; first += 32) {
        const unsigned bits = first + lane < count ? rows[first + lane] : 0;
        const unsigned cost = bits & kHasKey ? kRowCost + bits_set(bits & kColumnBits) : 0;
        unsigned sum = cost;
        for (int distance = 1; distance < 32; distance *= 2) {
            const unsigned other = from_lane(sum, lane >= distance ? lane - distance : lane);
            if (lane >= distance) sum += other;
        }
        if (first + lane <= count) prefix[first + lane] = before + sum - cost;
        before += from_lane(sum, 31);
    }
}

// Whether something is missing in a row of the map; false off the map.
__device__ inline bool has_hole(const unsigned* rows, int strips, int height, int row) {
    if (row < 0 || row >= height) return false;
    for (int strip = 0; strip < strips; ++strip)
        if (rows[strip * height + row] & kHasHole) return true;
    return false;
}

// The first row with a query, or one past the map where nothing is missing; by a warp.
__device__ inline int first_query_row(const unsigned* rows, int strips, int height) {
    for (int row = 0; row < height; row += 32) {
        const unsigned found = ballot(has_hole(rows, strips, height, row + threadIdx.x % 32));
        if (found) return row + lowest_bit(found) > 0 ? row + lowest_bit(found) - 1 : 0;
    }
    return height;
}

// Whether column x of a tile's rows, the first of which is `top`, holds a query. The loads wait for none of the others.
template <typename T>
__device__ bool column_has_query(const Map<T>& map, int top, int x) {
    bool query = false;
#pragma unroll 12
    for (int i = 0; i < 3 * kWindowHeight; ++i) {
        const int v = top - 1 + i / 3, u = x - 1 + i % 3;
        const bool real = map.contains(v, u);
        query |= real & map.missing(real ? v : 0, real ? u : 0);
    }
    return query & (x < map.width);
}

// Appends a band's tiles from left to right; by a warp.
template <typename T>
__device__ void plan_band(const Map<T>& map, int top, int* tiles, int* total) {
    const int lane = threadIdx.x % 32;
    int left = 0;  // of the next tile at least
    for (int first = 0; first < map.width; first += 32) {
        unsigned found = ballot(column_has_query(map, top, first + lane));
        while (true) {
            found &= left > first ? (left - first < 32 ? ~0u << (left - first) : 0) : ~0u;
            if (!found) break;
            const int x = first + lowest_bit(found);
            if (lane == 0) tiles[atomicAdd(total, 1)] = top * map.width + x;
            left = x + kTileWidth;
        }
    }
}

// Tiles of 6×14 pixels that hold every query, by one block: bands of rows from the first query on, each by a warp. A tile
// is its first pixel's index. Their order may differ from call to call.
template <typename T>
__device__ void plan_tiles(const Map<T>& map, const unsigned* rows, int strips, int* tiles, int* count) {
    __shared__ int first_row, total;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    if (warp == 0) {
        const int row = first_query_row(rows, strips, map.height);
        if (lane == 0) {
            first_row = row;
            total = 0;
        }
    }
    __syncthreads();
    for (int top = first_row + warp * kTileHeight; top < map.height; top += warps * kTileHeight)
        if (ballot(lane < kTileHeight + 2 && has_hole(rows, strips, map.height, top - 1 + lane)))
            plan_band(map, top, tiles, &total);
    __syncthreads();
    if (threadIdx.x == 0) *count = total;
}

// 1 / ‖P(q)‖ of a key, NaN of what is none.
template <typename T>
__device__ float key_scale(const Map<T>& map, const float* energy, int y, int x) {
    if (map.blocks_key(y - 1, x) || map.blocks_key(y, x) || map.blocks_key(y + 1, x)) return bits_float(0x7fc00000u);
    float sum = 0.0f;
    for (int v = y - 1; v <= y + 1; ++v)
        for (int u = x - 1; u <= x + 1; ++u) sum += energy[v * map.width + u];
    return 1.0f / fmaxf(sqrtf(sum), 1e-8f);
}

}  // namespace pix2rt
