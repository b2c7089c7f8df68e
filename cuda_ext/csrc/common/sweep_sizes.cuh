// Sizes that packing, planning and sweeping share.
#pragma once

#include "gram.cuh"

namespace pix2rt {

constexpr int kChunk = 64;                  // channels that are loaded at once
constexpr int kUnits = kChunk / 8;          // 16-byte units of a pixel's chunk
constexpr unsigned kColumnBits = 0xffffu;   // of a row's plan: groups of eight key pixels that some key near it uses
constexpr unsigned kHasKey = 1u << 16;      // the row has keys of its own
constexpr unsigned kHasHole = 1u << 17;     // something is missing in the row

constexpr int kBands = 2;                        // of query rows that threads share
constexpr int kBandHeight = kTileHeight / kBands;

// By the width of a strip, 128 or 64 pixels: chunks of keys in shared memory, and of queries, which stay there for a whole
// sweep if these are all.
constexpr int kStages[2] = {3, 2};
constexpr int kQuerySlots[2] = {4, 2};

__device__ inline int chunks_of(int channels) { return (channels + kChunk - 1) / kChunk; }

// Where a unit of a row lies, so that eight rows' same unit touches every bank once.
__device__ inline int swizzled(int row, int unit) { return unit ^ (row & 7); }

// The key columns of a map in strips of at most `columns` pixels, all about as wide.
struct Strips {
    int count, keys;  // strips; keys of a strip's row, fewer in the last

    __device__ Strips(int width, int columns) {
        const int centres = width > 2 ? width - 2 : 0;
        count = centres > 0 ? (centres + columns - 3) / (columns - 2) : 1;
        keys = (centres + count - 1) / count;
    }
};

}  // namespace pix2rt
