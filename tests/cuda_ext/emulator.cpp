// Runs the kernels of cuda_ext/csrc/common on the host: every thread of a block is a fiber, blocks run one after the other.
//
// Barriers, votes, atomics and the tensor-core instruction mean what the CUDA guide and the PTX ISA say; the mma below is
// written from the ISA's fragment tables and multiplies whole matrices.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

using std::size_t;

struct Dim3 {
    unsigned x, y, z;
};
static Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

constexpr int kStack = 256 << 10;
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<bool> alive;
static int current;
static int arrived, running, votes;        // of the block's barrier
static long generation;
static int last_vote;
static void (*body)();

struct Warp {
    int arrived = 0;
    long generation = 0;
    unsigned a[32][4], b[32][2];
};
static std::vector<Warp> warps;

inline void yield() { swapcontext(&fibers[current], &scheduler); }

inline int barrier(int vote) {
    votes |= vote;
    const long mine = generation;
    if (++arrived == running) {
        last_vote = votes;
        votes = arrived = 0;
        ++generation;
    } else {
        while (generation == mine) yield();
    }
    return last_vote;
}

inline void warp_barrier(Warp& warp) {
    const long mine = warp.generation;
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        ++warp.generation;
    } else {
        while (warp.generation == mine) yield();
    }
}

static void enter() {
    body();
    alive[current] = false;
    --running;
    yield();
}

static void run_block(int threads) {
    static std::vector<std::vector<char>> stacks;
    stacks.resize(std::max<size_t>(stacks.size(), threads));
    fibers.assign(threads, {});
    alive.assign(threads, true);
    warps.assign(threads / 32, {});
    arrived = votes = 0;
    running = threads;
    for (int i = 0; i < threads; ++i) {
        stacks[i].resize(kStack);
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = stacks[i].data();
        fibers[i].uc_stack.ss_size = kStack;
        fibers[i].uc_link = &scheduler;
        makecontext(&fibers[i], enter, 0);
    }
    while (running > 0)
        for (int i = 0; i < threads; ++i)
            if (alive[i]) {
                current = i;
                threadIdx = {static_cast<unsigned>(i), 0, 0};
                swapcontext(&scheduler, &fibers[i]);
            }
}

static void launch(const int (&grid)[3], int threads, void (*kernel)()) {
    body = kernel;
    gridDim = {static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]), static_cast<unsigned>(grid[2])};
    blockDim = {static_cast<unsigned>(threads), 1, 1};
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(threads);
}

}  // namespace emulation

#define PIX2RT_EMULATION
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)

inline void __syncthreads() { emulation::barrier(0); }
inline int __syncthreads_or(int vote) { return emulation::barrier(vote != 0); }
inline unsigned long long atomicMax(unsigned long long* at, unsigned long long value) {
    const unsigned long long old = *at;
    *at = std::max(old, value);
    return old;
}

namespace pix2rt {

struct Half;

inline unsigned float_bits(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
inline float bits_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
inline float half_value(unsigned short bits) {
    _Float16 half;
    std::memcpy(&half, &bits, 2);
    return static_cast<float>(half);
}
float to_float(Half value);
Half to_half(float value);

inline void mma_16x8x16(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    using namespace emulation;
    const int thread = current, lane = thread % 32, group = lane / 4, member = lane % 4;
    Warp& warp = warps[thread / 32];
    std::copy(a, a + 4, warp.a[lane]);
    std::copy(b, b + 2, warp.b[lane]);
    warp_barrier(warp);
    const auto half = [](unsigned word, int index) { return half_value(static_cast<unsigned short>(word >> 16 * (index % 2))); };
    for (int i = 0; i < 4; ++i) {
        const int row = group + i / 2 * 8, column = member * 2 + i % 2;
        for (int k = 0; k < 16; ++k) {
            const unsigned a_word = warp.a[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            const unsigned b_word = warp.b[column * 4 + k % 8 / 2][k / 8];
            sums[i] += half(a_word, k) * half(b_word, k);
        }
    }
    warp_barrier(warp);
}

}  // namespace pix2rt

#include "patch_swap.cu"

namespace pix2rt {
float to_float(Half value) { return half_value(value.bits); }
Half to_half(float value) {
    const auto half = static_cast<_Float16>(value);
    Half result;
    std::memcpy(&result.bits, &half, 2);
    return result;
}
}  // namespace pix2rt

namespace {

const void *features, *hole;
const int* match_in;
void* output;
int channels, height, width, splits;

template <typename T>
void paste() {
    pix2rt::paste_kernel(static_cast<const T*>(features), static_cast<const T*>(hole), match_in, channels, height, width,
                         static_cast<T*>(output));
}
template <typename T>
void match() {
    pix2rt::match_kernel(static_cast<const T*>(features), static_cast<const T*>(hole), channels, height, width,
                         static_cast<int*>(output));
}
template <typename T>
void match_split() {
    pix2rt::match_split_kernel(static_cast<const T*>(features), static_cast<const T*>(hole), channels, height, width,
                               splits, static_cast<unsigned long long*>(output));
}
void finish() { patch_match_finish(static_cast<const unsigned long long*>(features), channels, static_cast<int*>(output)); }

}  // namespace

extern "C" {

void run_match(int half, const int* grid, const void* f, const void* h, int c, int y, int x, void* out) {
    features = f, hole = h, channels = c, height = y, width = x, output = out;
    emulation::launch({grid[0], grid[1], grid[2]}, 256, half ? match<pix2rt::Half> : match<float>);
}
void run_match_split(int half, const int* grid, const void* f, const void* h, int c, int y, int x, int s, void* out) {
    features = f, hole = h, channels = c, height = y, width = x, splits = s, output = out;
    emulation::launch({grid[0], grid[1], grid[2]}, 256, half ? match_split<pix2rt::Half> : match_split<float>);
}
void run_finish(const int* grid, const void* best, int pixels, void* out) {
    features = best, channels = pixels, output = out;
    emulation::launch({grid[0], grid[1], grid[2]}, 256, finish);
}
void run_paste(int half, const int* grid, const void* f, const void* h, const int* m, int c, int y, int x, void* out) {
    features = f, hole = h, match_in = m, channels = c, height = y, width = x, output = out;
    emulation::launch({grid[0], grid[1], grid[2]}, 256, half ? paste<pix2rt::Half> : paste<float>);
}

}  // extern "C"
