// Entry points. Pointers first, then sizes, then outputs: the order in which a TensorRT AOT plugin passes them.
//
//   patch_match_*          block 256, grid (⌈width/14⌉, ⌈height/6⌉, images)
//   patch_match_split_*    block 256, grid (⌈width/14⌉, ⌈height/6⌉ · splits, images); `best` starts as zeros
//   patch_pack_fp16        block 256, grid (⌈strips·height/8⌉ + ⌈height·width/64⌉, 1, images)
//   patch_plan_fp16        block 256, grid (1 + ⌈height·width/256⌉, 1, images)
//   patch_sweep_128_fp16   block 512, any grid (blocks, 1, images), shared memory as sweep.py says; `best` of pack
//   patch_sweep_64_fp16    block 256, likewise
//   patch_match_finish     block 256, grid ⌈pixels/256⌉
//   patch_paste_*          block 256, grid (⌈height·width/256⌉, ⌈channels/32⌉, images)
#include "pack.cuh"
#include "patch_match.cuh"
#include "patch_paste.cuh"
#include "sweep.cuh"

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

// What the hole makes of each row, by the first blocks; the rest pack pixels.
__device__ inline void pack_kernel(const Half* features, const Half* hole, int channels, int height, int width, int columns,
                                   Half* packed, float* energy, unsigned long long* best, unsigned* rows) {
    const Map<Half> map = image_of(features, hole, blockIdx.z, channels, height, width);
    const size_t plane = static_cast<size_t>(height) * width, image = blockIdx.z;
    const int count = Strips(width, columns).count * height, warps = kThreads / 32, row_blocks = (count + warps - 1) / warps;
    const int row = blockIdx.x * warps + threadIdx.x / 32;
    if (static_cast<int>(blockIdx.x) >= row_blocks) {
        pack_pixels(map, (blockIdx.x - row_blocks) * kPackPixels, packed + image * plane * chunks_of(channels) * kChunk,
                    energy + image * plane, best + image * plane);
    } else if (row < count) {
        const unsigned bits = plan_row(map, columns, row / height, row % height);
        if (threadIdx.x % 32 == 0) rows[image * count + row] = bits;
    }
}

// Costs and tiles by the first block, keys' scales by the others.
__device__ inline void plan_kernel(const Half* hole, const float* energy, const unsigned* rows, int height, int width,
                                   int columns, float* scale, unsigned* costs, int* tiles, int* tile_count) {
    const size_t plane = static_cast<size_t>(height) * width, image = blockIdx.z;
    const Map<Half> map = {nullptr, hole + image * plane, 0, height, width};
    const int strips = Strips(width, columns).count, count = strips * height;
    const int pixel = (blockIdx.x - 1) * kThreads + threadIdx.x;
    if (blockIdx.x > 0) {
        if (pixel < height * width)
            scale[image * plane + pixel] = key_scale(map, energy + image * plane, pixel / width, pixel % width);
        return;
    }
    const int room = (height + kTileHeight - 1) / kTileHeight * ((width + kTileWidth - 1) / kTileWidth);
    plan_tiles(map, rows + image * count, strips, tiles + image * room, tile_count + image);
    if (threadIdx.x < 32) plan_costs(rows + image * count, count, costs + image * (count + 1));
}

template <int kColumns>
__device__ void sweep_kernel(const Half* hole, const Half* packed, const float* scale, const unsigned* rows,
                             const unsigned* costs, const int* tiles, const int* tile_count, int channels, int height,
                             int width, unsigned long long* best) {
    const size_t plane = static_cast<size_t>(height) * width, image = blockIdx.z;
    const int count = Strips(width, kColumns).count * height;
    const int room = (height + kTileHeight - 1) / kTileHeight * ((width + kTileWidth - 1) / kTileWidth);
    const Planned plan = {{nullptr, hole + image * plane, channels, height, width},
                          packed + image * plane * chunks_of(channels) * kChunk,
                          scale + image * plane,
                          rows + image * count,
                          costs + image * (count + 1),
                          tiles + image * room,
                          tile_count[image]};
    sweep_share<kColumns>(plan, *static_cast<typename Sweep<kColumns>::Shared*>(launched_shared()), best + image * plane);
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

extern "C" __global__ void __launch_bounds__(256)
    patch_pack_fp16(const pix2rt::Half* features, const pix2rt::Half* hole, int channels, int height, int width, int columns,
                    pix2rt::Half* packed, float* energy, unsigned long long* best, unsigned* rows) {
    pix2rt::pack_kernel(features, hole, channels, height, width, columns, packed, energy, best, rows);
}

extern "C" __global__ void __launch_bounds__(256)
    patch_plan_fp16(const pix2rt::Half* hole, const float* energy, const unsigned* rows, int height, int width, int columns,
                    float* scale, unsigned* costs, int* tiles, int* tile_count) {
    pix2rt::plan_kernel(hole, energy, rows, height, width, columns, scale, costs, tiles, tile_count);
}

#define PIX2RT_SWEEP(columns, blocks)                                                                                  \
    extern "C" __global__ void __launch_bounds__(pix2rt::Sweep<columns>::kThreads, blocks) patch_sweep_##columns##_fp16( \
        const pix2rt::Half* hole, const pix2rt::Half* packed, const float* scale, const unsigned* rows,                \
        const unsigned* costs, const int* tiles, const int* tile_count, int channels, int height, int width,           \
        unsigned long long* best) {                                                                                    \
        pix2rt::sweep_kernel<columns>(hole, packed, scale, rows, costs, tiles, tile_count, channels, height, width,    \
                                      best);                                                                           \
    }

PIX2RT_SWEEP(128, 1)
PIX2RT_SWEEP(64, 2)
