// Gram products of a block: 128 query pixels × 64 key pixels over all channels, in float32 or half precision.
#pragma once

#include "tile.cuh"

namespace pix2rt {

// Channels [kWords · kPack] of all pixels of a step, word by word: consecutive pixels lie in consecutive banks.
struct Stage {
    unsigned queries[kWords][kWindowStride];
    unsigned keys[kWords][kColumnStride];
};

struct alignas(16) Vector4 {
    float value[4];
};

// How features become words and words become sums; one specialisation per precision. `add` may leave out the key columns
// from `columns` on, which no key of the strip touches.
template <typename T>
struct Product;

template <>
struct Product<float> {
    static constexpr int kPack = 1;  // channels per word
    float sums[8][4] = {};           // rows 8·(thread / 16) …, columns 4·(thread % 16) …

    __device__ static unsigned word(const Pixel<float>& pixel, int index) { return float_bits(pixel[index]); }

    __device__ static float energy(unsigned word) { return bits_float(word) * bits_float(word); }

    __device__ void add(const Stage& stage, int columns, int thread) {
        const int row = thread / 16 * 8, column = thread % 16 * 4;
        if (column >= columns) return;
#pragma unroll 4
        for (int k = 0; k < kWords; ++k) {
            const auto* queries = reinterpret_cast<const Vector4*>(&stage.queries[k][row]);
            const Vector4 key = *reinterpret_cast<const Vector4*>(&stage.keys[k][column]);
            const Vector4 query[2] = {queries[0], queries[1]};
#pragma unroll
            for (int i = 0; i < 8; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += query[i / 4].value[i % 4] * key.value[j];
        }
    }

    __device__ void store(float (*gram)[kColumnStride], int thread) const {
        const int row = thread / 16 * 8, column = thread % 16 * 4;
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) gram[row + i][column + j] = sums[i][j];
    }
};

template <>
struct Product<Half> {
    static constexpr int kPack = 2;
    float sums[2][4][4] = {};  // a warp has 32 rows and 32 columns: two by four tensor-core tiles of 16×8

    __device__ static unsigned word(const Pixel<Half>& pixel, int index) {
        return pixel[2 * index].bits | static_cast<unsigned>(pixel[2 * index + 1].bits) << 16;
    }

    __device__ static float energy(unsigned word) {
        const float low = to_float(Half{static_cast<unsigned short>(word)});
        const float high = to_float(Half{static_cast<unsigned short>(word >> 16)});
        return low * low + high * high;
    }

    __device__ void add(const Stage& stage, int columns, int thread) {
        const int row = thread / 32 % 4 * 32, column = thread / 128 * 32;
        const int group = thread % 32 / 4, member = thread % 4;  // PTX ISA: lane = 4·group + member
#pragma unroll
        for (int k = 0; k < kWords; k += 8) {
            unsigned a[2][4];
#pragma unroll
            for (int i = 0; i < 8; ++i)
                a[i / 4][i % 4] = stage.queries[k + member + i % 4 / 2 * 4][row + i / 4 * 16 + group + i % 2 * 8];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                if (column + n * 8 >= columns) continue;
                const unsigned b[2] = {stage.keys[k + member][column + n * 8 + group],
                                       stage.keys[k + member + 4][column + n * 8 + group]};
                mma_16x8x16(sums[0][n], a[0], b);
                mma_16x8x16(sums[1][n], a[1], b);
            }
        }
    }

    __device__ void store(float (*gram)[kColumnStride], int thread) const {
        const int row = thread / 32 % 4 * 32 + thread % 32 / 4, column = thread / 128 * 32 + thread % 4 * 2;
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    gram[row + m * 16 + i / 2 * 8][column + n * 8 + i % 2] = sums[m][n][i];
    }
};

// The words of one step that a thread carries from global memory to a stage: all of one query and one key pixel.
template <typename T>
struct Carrier {
    static constexpr int kQueryStep = kThreads / kWindow, kKeyStep = kThreads / kColumns;
    unsigned queries[kWords / kQueryStep], keys[kWords / kKeyStep];

    // Words `first` to `first + kWords`; returns the sum of squares of the key's.
    __device__ float load(const Pixel<T>& query, const Pixel<T>& key, int first, int thread) {
#pragma unroll
        for (int i = 0; i < kWords / kQueryStep; ++i)
            queries[i] = Product<T>::word(query, first + thread / kWindow + i * kQueryStep);
        float energy = 0.0f;
#pragma unroll
        for (int i = 0; i < kWords / kKeyStep; ++i) {
            keys[i] = Product<T>::word(key, first + thread / kColumns + i * kKeyStep);
            energy += Product<T>::energy(keys[i]);
        }
        return energy;
    }

    __device__ void store(Stage& stage, int thread) const {
#pragma unroll
        for (int i = 0; i < kWords / kQueryStep; ++i)
            stage.queries[thread / kWindow + i * kQueryStep][thread % kWindow] = queries[i];
#pragma unroll
        for (int i = 0; i < kWords / kKeyStep; ++i)
            stage.keys[thread / kColumns + i * kKeyStep][thread % kColumns] = keys[i];
    }
};

}  // namespace pix2rt
