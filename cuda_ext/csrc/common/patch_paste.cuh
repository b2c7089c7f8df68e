// PatchPaste: one thread per pixel and 32 channels; a missing pixel is the mean over the queries around it.
#pragma once

#include "tile.cuh"

namespace pix2rt {

constexpr int kPasteChannels = 32;

template <typename T>
__device__ void paste_pixel(const Map<T>& map, const int* match, T* output, int pixel, int first_channel) {
    const size_t plane = static_cast<size_t>(map.height) * map.width;
    const int y = pixel / map.width, x = pixel % map.width;
    int sources[9];
    int count = 0;
    if (map.missing(y, x))
        for (int i = 0; i < 9; ++i) {
            const int dy = i / 3 - 1, dx = i % 3 - 1;  // offset of the pixel in the query's patch
            if (!map.contains(y - dy, x - dx)) continue;
            const int key = match[(y - dy) * map.width + x - dx];
            if (key >= 0 && map.contains(key / map.width + dy, key % map.width + dx)) sources[count++] = key + dy * map.width + dx;
        }
    const int end = first_channel + kPasteChannels < map.channels ? first_channel + kPasteChannels : map.channels;
    for (int channel = first_channel; channel < end; ++channel) {
        const T* values = map.features + channel * plane;
        if (count == 0) {
            output[channel * plane + pixel] = values[pixel];
            continue;
        }
        float sum = 0.0f;
        for (int i = 0; i < count; ++i) sum += to_float(values[sources[i]]);
        output[channel * plane + pixel] = from_float<T>(sum / static_cast<float>(count));
    }
}

}  // namespace pix2rt
