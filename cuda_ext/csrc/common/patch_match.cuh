// PatchMatch of one tile of 6×14 queries: Gram products, 3×3 diagonal sums and argmax in one pass, no score stored.
//
// The key map is cut into strips of 62 columns. Down a strip, each pixel row gives a Gram tile (128 query pixels × 64 key
// pixels) in shared memory; its horizontal diagonal sums are the bottom row of the scores of the keys one row above, the
// middle row of this row's keys, and the top row of the next row's. Two partial sums per (query, key column) wait in
// registers for the rows still to come.
#pragma once

#include "gram.cuh"

namespace pix2rt {

struct Scratch {
    union {
        Stage stages[2];
        float gram[kWindow][kColumnStride];
    };
    float energy_parts[kThreads / kColumns][kColumns];
    float energy[3][kColumns];  // of the key pixels of the last three rows
    unsigned long long best[kTile];
};

// What a thread keeps of its key column and up to four query columns.
struct Candidates {
    float two_rows[kPositions][kTileHeight];  // scores that lack their patch's bottom row
    float one_row[kPositions][kTileHeight];   // scores that lack its middle and bottom row
    float best[kPositions][kTileHeight];
    int key[kPositions][kTileHeight];

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < kPositions * kTileHeight; ++i) {
            two_rows[i / kTileHeight][i % kTileHeight] = one_row[i / kTileHeight][i % kTileHeight] = 0.0f;
            best[i / kTileHeight][i % kTileHeight] = 0.0f;
            key[i / kTileHeight][i % kTileHeight] = -1;
        }
    }

    // Shift by one key row that has no key near: nothing of it will be used.
    __device__ void skip_row() {
#pragma unroll
        for (int i = 0; i < kPositions * kTileHeight; ++i) {
            two_rows[i / kTileHeight][i % kTileHeight] = one_row[i / kTileHeight][i % kTileHeight];
            one_row[i / kTileHeight][i % kTileHeight] = 0.0f;
        }
    }

    // Add a row's Gram tile. The keys one row above are complete now: `inverse_norm` is theirs, negative if none is here.
    __device__ void add_row(const float (*gram)[kColumnStride], int column, int first_x, float inverse_norm, int index) {
#pragma unroll
        for (int i = 0; i < kPositions; ++i) {
            const int x = first_x + i * (kThreads / kColumns);
            if (x >= kTileWidth) continue;
            float sums[kWindowHeight];
#pragma unroll
            for (int y = 0; y < kWindowHeight; ++y) {
                const int pixel = y * kWindowWidth + x;
                sums[y] = gram[pixel][column] + gram[pixel + 1][column + 1] + gram[pixel + 2][column + 2];
            }
#pragma unroll
            for (int y = 0; y < kTileHeight; ++y) {
                const float score = (two_rows[i][y] + sums[y + 2]) * inverse_norm;
                two_rows[i][y] = one_row[i][y] + sums[y + 1];
                one_row[i][y] = sums[y];
                const bool first = key[i][y] < 0 || score > best[i][y];
                if (inverse_norm >= 0.0f && (first || (score == best[i][y] && index < key[i][y]))) {
                    best[i][y] = score;
                    key[i][y] = index;
                }
            }
        }
    }
};

// The Gram tile of one row of key pixels, and their energies. `query` and `key` are this thread's pixels to carry.
template <typename T>
__device__ void gram_row(const Pixel<T>& query, const Pixel<T>& key, Scratch& scratch, int row, int columns, int thread) {
    Product<T> product;
    Carrier<T> carrier;
    const int words = (key.channels + Product<T>::kPack - 1) / Product<T>::kPack, steps = (words + kWords - 1) / kWords;
    float energy = carrier.load(query, key, 0, thread);
    carrier.store(scratch.stages[0], thread);
    for (int step = 0; step < steps; ++step) {
        const bool more = step + 1 < steps;
        if (!more) scratch.energy_parts[thread / kColumns][thread % kColumns] = energy;
        __syncthreads();
        if (more) energy += carrier.load(query, key, (step + 1) * kWords, thread);
        product.add(scratch.stages[step % 2], columns, thread);
        if (more) carrier.store(scratch.stages[(step + 1) % 2], thread);
    }
    if (thread < kColumns) {
        float sum = 0.0f;
        for (int part = 0; part < kThreads / kColumns; ++part) sum += scratch.energy_parts[part][thread];
        scratch.energy[row % 3][thread] = sum;
    }
    __syncthreads();  // the Gram tile takes the stages' place
    product.store(scratch.gram, thread);
    __syncthreads();
}

__device__ inline float inverse_norm(const Scratch& scratch, int column) {
    float energy = 0.0f;
    for (int row = 0; row < 3; ++row)
        for (int x = 0; x < 3; ++x) energy += scratch.energy[row][column + x];
    return 1.0f / fmaxf(sqrtf(energy), 1e-8f);
}

// All keys of one strip whose rows lie in [first_row, end_row). (top, left) is the tile's first query pixel, `centre` the
// column of the strip's first key.
template <typename T>
__device__ void match_strip(const Map<T>& map, Scratch& scratch, Candidates& candidates, int top, int left, int centre,
                            int first_row, int end_row, int thread) {
    const int column = thread % kColumns;
    const bool in_strip = column < kCentres;
    const int x = centre + column;  // of this thread's keys
    const int columns = map.width - centre + 1 < kColumns ? map.width - centre + 1 : kColumns;  // inside the map
    const Pixel<T> query = map.pixel(top + thread % kWindow / kWindowWidth, left + thread % kWindowWidth);
    bool blocked[5] = {true, true, true, true, true};
    bool has_key[3] = {false, false, false};
    // blocked[i] is of pixel row `row − 2 + i`, has_key[i] of key row `row − 1 + i`
    for (int row = first_row - 3; row <= end_row; ++row) {
        for (int i = 0; i < 4; ++i) blocked[i] = blocked[i + 1];
        blocked[4] = in_strip ? map.blocks_key(row + 2, x) : true;
        const bool next = !(blocked[2] || blocked[3] || blocked[4]) && row + 1 >= first_row && row + 1 < end_row;
        has_key[0] = has_key[1];
        has_key[1] = has_key[2];
        has_key[2] = __syncthreads_or(next);
        if (row < first_row - 1) continue;
        if (!(has_key[0] || has_key[1] || has_key[2])) {
            candidates.skip_row();
            continue;
        }
        gram_row(query, map.pixel(row, centre - 1 + column), scratch, row, columns, thread);
        const bool is_key = !(blocked[0] || blocked[1] || blocked[2]) && row - 1 >= first_row;
        const float inverse = is_key ? inverse_norm(scratch, column) : -1.0f;
        if (in_strip) candidates.add_row(scratch.gram, column, thread / kColumns, inverse, (row - 1) * map.width + x);
        // The next row's first __syncthreads_or keeps the Gram tile until every thread has read it.
    }
}

// Packed best keys of this block's queries in scratch.best; false if it has no query. Keys' rows: [first_row, end_row).
template <typename T>
__device__ bool match_tile(const Map<T>& map, Scratch& scratch, int tile_y, int tile_x, int first_row, int end_row) {
    const int thread = threadIdx.x;
    const int top = tile_y * kTileHeight, left = tile_x * kTileWidth;
    const bool query = thread < kTile && map.is_query(top + thread / kTileWidth, left + thread % kTileWidth);
    if (thread < kTile) scratch.best[thread] = 0;
    if (!__syncthreads_or(query)) return false;
    Candidates candidates;
    candidates.clear();
    for (int centre = 1; centre < map.width - 1; centre += kCentres)
        match_strip(map, scratch, candidates, top - 1, left - 1, centre, first_row, end_row, thread);
    for (int i = 0; i < kPositions; ++i) {
        const int x = thread / kColumns + i * (kThreads / kColumns);
        for (int y = 0; y < kTileHeight; ++y)
            if (x < kTileWidth && candidates.key[i][y] >= 0)
                atomicMax(&scratch.best[y * kTileWidth + x], pack(candidates.best[i][y], candidates.key[i][y]));
    }
    __syncthreads();
    return true;
}

}  // namespace pix2rt
