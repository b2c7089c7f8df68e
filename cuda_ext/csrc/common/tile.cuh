// Sizes of a block's work, and which pixels of the map it means.
#pragma once

#include "device.cuh"

namespace pix2rt {

constexpr int kThreads = 256;
constexpr int kTileHeight = 6;                         // queries of a block …
constexpr int kTileWidth = 14;
constexpr int kTile = kTileHeight * kTileWidth;
constexpr int kWindowHeight = kTileHeight + 2;         // … and the pixels of their patches
constexpr int kWindowWidth = kTileWidth + 2;
constexpr int kWindow = kWindowHeight * kWindowWidth;  // 128 = 8 tensor-core tiles
constexpr int kColumns = 64;                           // key pixels of a strip's row
constexpr int kCentres = kColumns - 2;                 // keys of a strip's row
constexpr int kWords = 16;                             // 32-bit words per pixel that are staged at once
constexpr int kWindowStride = kWindow + 8;             // ≡ 8 (mod 32): fragments are read without bank conflicts
constexpr int kColumnStride = kColumns + 8;
constexpr int kPositions = 4;                          // x positions per thread: kTileWidth / (kThreads / kColumns), up

static_assert(kWindow == 128 && kThreads == 256 && kWords == 16, "the loads below divide the work by these");

// The features of one pixel as the match sees them; zero outside the map and beyond the last channel.
template <typename T>
struct Pixel {
    const T* first;  // null outside the map
    size_t plane;
    int channels;

    __device__ T operator[](int channel) const {
        return first && channel < channels ? usable(first[channel * plane]) : T{};
    }
};

// The map of one image.
template <typename T>
struct Map {
    const T* features;  // [channels, height, width]
    const T* hole;      // [height, width], not zero = missing
    int channels, height, width;

    __device__ bool contains(int y, int x) const { return y >= 0 && y < height && x >= 0 && x < width; }

    __device__ bool missing(int y, int x) const { return to_float(hole[y * width + x]) != 0.0f; }

    // Whether (y, x) is a query: a pixel of the map whose window touches the hole.
    __device__ bool is_query(int y, int x) const {
        if (!contains(y, x)) return false;
        for (int v = y - 1; v <= y + 1; ++v)
            for (int u = x - 1; u <= x + 1; ++u)
                if (contains(v, u) && missing(v, u)) return true;
        return false;
    }

    // Whether no key centred at column x may use row y: its three pixels leave the map or touch the hole.
    __device__ bool blocks_key(int y, int x) const {
        if (y < 0 || y >= height || x < 1 || x >= width - 1) return true;
        return missing(y, x - 1) || missing(y, x) || missing(y, x + 1);
    }

    __device__ Pixel<T> pixel(int y, int x) const {
        const size_t plane = static_cast<size_t>(height) * width;
        return {contains(y, x) ? features + static_cast<size_t>(y) * width + x : nullptr, plane, channels};
    }
};

template <typename T>
__device__ Map<T> image_of(const T* features, const T* hole, int image, int channels, int height, int width) {
    const size_t plane = static_cast<size_t>(height) * width;
    return {features + image * plane * channels, hole + image * plane, channels, height, width};
}

}  // namespace pix2rt
