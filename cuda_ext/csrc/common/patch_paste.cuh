// PatchPaste: one thread per pixel and 32 channels; a missing pixel is the mean over the queries around it.
#pragma once

#include "tile.cuh"

namespace pix2rt {

constexpr int kPasteChannels = 32;

template <typename T>
__device__ void paste_pixel(const Map<T>& map, const int* match, T* output, int pixel, int first_channel) {
    const size_t plane = static_cast<size_t>(map.height) * map.width;
    const int y = pixel / map.width, x = pixel % map.width;
    const bool missing = map.missing(y, x);
    int sources[9];  // −1 where there is none: only indices known to the compiler keep the array in registers
    int count = 0;
#pragma unroll
    for (int i = 0; i < 9; ++i) {
        const int dy = i / 3 - 1, dx = i % 3 - 1;  // offset of the pixel in the query's patch
        const int key = missing && map.contains(y - dy, x - dx) ? match[(y - dy) * map.width + x - dx] : -1;
        const bool real = key >= 0 && map.contains(key / map.width + dy, key % map.width + dx);
        sources[i] = real ? key + dy * map.width + dx : -1;
        count += real;
    }
    const int end = first_channel + kPasteChannels < map.channels ? first_channel + kPasteChannels : map.channels;
#pragma unroll 1
    for (int channel = first_channel; channel < end; ++channel) {
        const T* values = map.features + channel * plane;
        if (count == 0) {
            output[channel * plane + pixel] = values[pixel];
            continue;
        }
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 9; ++i)
            if (sources[i] >= 0) sum += to_float(values[sources[i]]);
        output[channel * plane + pixel] = from_float<T>(sum / static_cast<float>(count));
    }
}

}  // namespace pix2rt
