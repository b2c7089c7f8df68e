// Features as the sweep wants them: channels of a pixel side by side, and the energy of each pixel.
#pragma once

#include "sweep_sizes.cuh"

namespace pix2rt {

constexpr int kPackPixels = 64;         // of a block …
constexpr int kPackChannels = kChunk;  // … at a time
constexpr int kPackWords = kPackChannels / 2 + 1;  // of a pixel's row: odd, so that a column of pixels has no bank twice

struct alignas(16) Words {
    unsigned word[4];
};

// Channels [chunk, chunk + kPackChannels) of the block's pixels, zeros beyond the last; a warp reads neighbouring pixels.
__device__ inline void load_channels(const Map<Half>& map, int first, int chunk, unsigned (*tile)[kPackWords]) {
    const int pixel = threadIdx.x % kPackPixels, pixels = map.height * map.width, here = first + pixel;
#pragma unroll
    for (int i = 0; i < kPackChannels / 4; ++i) {
        const int channel = threadIdx.x / kPackPixels + 4 * i;
        const bool real = here < pixels && chunk + channel < map.channels;
        const Half value = real ? map.features[static_cast<size_t>(chunk + channel) * pixels + here] : Half{0};
        reinterpret_cast<Half*>(tile[pixel])[channel] = usable(value);
    }
}

// Pixels [first, first + kPackPixels) of one image by 256 threads. `packed` is [pixels, whole chunks of channels], zero
// beyond the last channel; `best` starts as "none".
__device__ inline void pack_pixels(const Map<Half>& map, int first, Half* packed, float* energy, unsigned long long* best) {
    __shared__ unsigned tile[kPackPixels][kPackWords];
    const int thread = threadIdx.x, pixels = map.height * map.width, depth = chunks_of(map.channels) * kChunk;
    if (thread < kPackPixels && first + thread < pixels) best[first + thread] = 0;
    float sums[2] = {};  // eight threads write the channels of a pixel, eight each; of two pixels
    for (int chunk = 0; chunk < depth; chunk += kPackChannels) {
        load_channels(map, first, chunk, tile);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int pixel = thread / 8 + 32 * i, channel = thread % 8 * 8;
            Words words;
#pragma unroll
            for (int w = 0; w < 4; ++w) {
                words.word[w] = tile[pixel][channel / 2 + w];
                sums[i] += Product<Half>::energy(words.word[w]);
            }
            if (first + pixel < pixels)
                *reinterpret_cast<Words*>(packed + static_cast<size_t>(first + pixel) * depth + chunk + channel) = words;
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float sum = sums[i];
#pragma unroll
        for (int distance = 1; distance < 8; distance *= 2)
            sum += bits_float(from_lane(float_bits(sum), thread % 32 ^ distance));
        if (thread % 8 == 0 && first + thread / 8 + 32 * i < pixels) energy[first + thread / 8 + 32 * i] = sum;
    }
}

}  // namespace pix2rt
