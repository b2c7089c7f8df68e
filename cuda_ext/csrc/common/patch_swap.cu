// Entry points. Pointers first, then sizes, then outputs: the order in which a TensorRT AOT plugin passes them.
//
//   patch_match_*          block 256, grid (⌈width/14⌉, ⌈height/6⌉, images)
//   patch_match_split_*    block 256, grid (⌈width/14⌉, ⌈height/6⌉ · splits, images); `best` starts as zeros
//   patch_match_finish     block 256, grid ⌈pixels/256⌉
//   patch_paste_*          block 256, grid (⌈height·width/256⌉, ⌈channels/32⌉, images)
#include "patch_match.cuh"
#include "patch_paste.cuh"

namespace pix2rt {

template <typename T>
__device__ void match_kernel(const T* features, const T* hole, int channels, int height, int width, int* match) {
    __shared__ Scratch scratch;
    const Map<T> map = image_of(features, hole, blockIdx.z, channels, height, width);
    match_tile(map, scratch, blockIdx.y, blockIdx.x, 1, height - 1);
    const int y = blockIdx.y * kTileHeight + threadIdx.x / kTileWidth;
    const int x = blockIdx.x * kTileWidth + threadIdx.x % kTileWidth;
    if (threadIdx.x < kTile && map.contains(y, x))
        match[(static_cast<size_t>(blockIdx.z) * height + y) * width + x] =
            map.is_query(y, x) ? unpack_key(scratch.best[threadIdx.x]) : -1;
}

template <typename T>
__device__ void match_split_kernel(const T* features, const T* hole, int channels, int height, int width, int splits,
                                   unsigned long long* best) {
    __shared__ Scratch scratch;
    const Map<T> map = image_of(features, hole, blockIdx.z, channels, height, width);
    const int tiles = gridDim.y / splits, tile_y = blockIdx.y % tiles;
    const int rows = (height - 2 + splits - 1) / splits, first_row = 1 + blockIdx.y / tiles * rows;
    const int end_row = first_row + rows < height - 1 ? first_row + rows : height - 1;
    if (!match_tile(map, scratch, tile_y, blockIdx.x, first_row, end_row)) return;
    const int y = tile_y * kTileHeight + threadIdx.x / kTileWidth;
    const int x = blockIdx.x * kTileWidth + threadIdx.x % kTileWidth;
    if (threadIdx.x < kTile && map.contains(y, x) && map.is_query(y, x))
        atomicMax(&best[(static_cast<size_t>(blockIdx.z) * height + y) * width + x], scratch.best[threadIdx.x]);
}

template <typename T>
__device__ void paste_kernel(const T* features, const T* hole, const int* match, int channels, int height, int width,
                             T* output) {
    const Map<T> map = image_of(features, hole, blockIdx.z, channels, height, width);
    const size_t plane = static_cast<size_t>(height) * width;
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel < height * width)
        paste_pixel(map, match + blockIdx.z * plane, output + blockIdx.z * plane * channels, pixel,
                    blockIdx.y * kPasteChannels);
}

}  // namespace pix2rt

#define PIX2RT_KERNELS(suffix, T)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256) patch_match_##suffix(                                            \
        const T* features, const T* hole, int channels, int height, int width, int* match) {                           \
        pix2rt::match_kernel(features, hole, channels, height, width, match);                                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) patch_match_split_##suffix(                                      \
        const T* features, const T* hole, int channels, int height, int width, int splits, unsigned long long* best) { \
        pix2rt::match_split_kernel(features, hole, channels, height, width, splits, best);                             \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) patch_paste_##suffix(                                            \
        const T* features, const T* hole, const int* match, int channels, int height, int width, T* output) {          \
        pix2rt::paste_kernel(features, hole, match, channels, height, width, output);                                  \
    }

PIX2RT_KERNELS(fp32, float)
PIX2RT_KERNELS(fp16, pix2rt::Half)

extern "C" __global__ void __launch_bounds__(256)
    patch_match_finish(const unsigned long long* best, int pixels, int* match) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel < pixels) match[pixel] = pix2rt::unpack_key(best[pixel]);
}
