// From products of pixels to scores of patches: 3×3 diagonal sums of a Gram tile and the best key of each query.
//
// A thread has one diagonal of the Gram tile, on which key column − query column is constant modulo the strip's width, for
// half of the tile's query columns and one band of its rows. Sums along the diagonal cost one read for each product. Two
// partial sums per (query, key column) wait in registers for the key rows still to come. What wraps around at the end of
// the strip meets columns there whose key lies outside it.
#pragma once

#include "sweep_sizes.cuh"

namespace pix2rt {

constexpr int kHalf = kTileWidth / 2;  // query columns of a thread

// The best keys so far of a tile's queries, and the scores that are to be beaten.
struct Best {
    alignas(16) float limits[2][kTileHeight][8];  // as of the last row's end; +∞ for what is no query
    unsigned long long packed[kTileHeight * kWindowWidth];
};

template <int kColumns>
struct Diagonals {
    static constexpr int kRow = kWindowWidth * kColumns + 8;  // of the Gram tile's query rows; 8 more spare banks

    float two_rows[kBandHeight][kHalf];  // scores that lack their patch's bottom row
    float one_row[kBandHeight][kHalf];   // scores that lack its middle and bottom row

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < kBandHeight * kHalf; ++i)
            two_rows[i / kHalf][i % kHalf] = one_row[i / kHalf][i % kHalf] = 0.0f;
    }

    // Adds a key row's Gram tile, which completes the keys one row above. `scale` is theirs, NaN where none is, `index` the
    // index of the strip's first.
    __device__ void add_row(const float* gram, const float (&scale)[kHalf], Best& best, int index, bool complete, int thread) {
        const int half = thread / kColumns % 2, diagonal = thread % kColumns;
        const int top = thread / (2 * kColumns) * kBandHeight;
        gram += top * kRow;
        int at[kHalf + 2];
#pragma unroll
        for (int i = 0; i < kHalf + 2; ++i)
            at[i] = (half * kHalf + i) * kColumns + ((diagonal + half * kHalf + i) & (kColumns - 1));
#pragma unroll
        for (int y = kBandHeight + 1; y >= 0; --y) {
            float products[kHalf + 2], sums[kHalf];
#pragma unroll
            for (int i = 0; i < kHalf + 2; ++i) products[i] = gram[y * kRow + at[i]];
#pragma unroll
            for (int i = 0; i < kHalf; ++i) sums[i] = products[i] + products[i + 1] + products[i + 2];
            if (y >= 2 && complete) {
                float scores[kHalf];
#pragma unroll
                for (int i = 0; i < kHalf; ++i) scores[i] = (two_rows[y - 2][i] + sums[i]) * scale[i];
                keep_best(scores, best, top + y - 2, half, diagonal + half * kHalf, index, thread % 32);
            }
#pragma unroll
            for (int i = 0; i < kHalf; ++i) {
                if (y >= 1 && y <= kBandHeight) two_rows[y - 1][i] = one_row[y - 1][i] + sums[i];
                if (y < kBandHeight) one_row[y][i] = sums[i];
            }
        }
    }

    // Of one row of queries; `column` is the key column of the first, `index` of the strip's first key. Scores above their
    // limit are rare; a score that equals it loses, for its key has the larger index.
    __device__ static void keep_best(const float (&scores)[kHalf], Best& best, int y, int half, int column, int index, int lane) {
        const float* limits = best.limits[half][y];
        bool above = false;
#pragma unroll
        for (int i = 0; i < kHalf; ++i) above |= scores[i] > limits[i];
        if (!ballot(above)) return;
#pragma unroll
        for (int i = 0; i < kHalf; ++i) {
            const unsigned mine = scores[i] > limits[i] ? ordered_bits(scores[i]) : 0;
            const unsigned most = max_of_warp(mine);
            if (!most) continue;
            const int from_end = static_cast<int>(max_of_warp(mine == most ? kColumns - ((column + i) & (kColumns - 1)) : 0));
            if (lane == 0)
                atomicMax(&best.packed[y * kWindowWidth + half * kHalf + i], pack_ordered(most, index + kColumns - from_end));
        }
    }
};

}  // namespace pix2rt
