// Runs the kernels of cuda_ext/csrc/common on the host: every thread of a block is a fiber, blocks run one after the other.
//
// Barriers, votes, atomics, warp-wide and tensor-core instructions mean what the CUDA guide and the PTX ISA say; mma and
// ldmatrix below are written from the ISA's fragment tables. An asynchronous copy leaves NaNs until it is waited for, and
// arrives no sooner; shared memory of the launch starts as NaNs, and its end is guarded.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

using std::size_t;

struct Dim3 {
    unsigned x, y, z;
};
static Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

constexpr int kStack = 256 << 10;
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;       // starts them …
static std::vector<jmp_buf> places;          // … and from then on these: no system call saves the signal mask
static jmp_buf scheduler_place;
static std::vector<bool> started;
static std::vector<bool> alive;
static int current;
static int arrived, running, votes;        // of the block's barrier
static long generation;
static int last_vote;
static void (*body)();

struct Warp {
    int arrived = 0;
    long generation = 0;
    unsigned a[32][4], b[32][2], value[32];
    const void* row[32];
};
static std::vector<Warp> warps;

struct Copy {
    void* to;
    unsigned char bytes[16];
};
struct Copies {  // of one thread
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
};
static std::vector<Copies> copies;

constexpr int kGuard = 64;
alignas(128) static unsigned char launched[(232448 + kGuard)];
static int launched_bytes;

[[gnu::noinline]] static void yield() {
    if (!_setjmp(places[current])) _longjmp(scheduler_place, 1);
}

[[gnu::noinline]] static void resume(int fiber) {
    if (_setjmp(scheduler_place)) return;
    if (started[fiber]) _longjmp(places[fiber], 1);
    started[fiber] = true;
    setcontext(&fibers[fiber]);
}

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
    std::fill(std::begin(launched), std::end(launched), 0xff);
    copies.assign(threads, {});
    static std::vector<std::vector<char>> stacks;
    stacks.resize(std::max<size_t>(stacks.size(), threads));
    fibers.assign(threads, {});
    alive.assign(threads, true);
    started.assign(threads, false);
    places = std::vector<jmp_buf>(threads);
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
                resume(i);
            }
    for (int i = 0; i < kGuard; ++i)
        if (launched[launched_bytes + i] != 0xff) std::abort();  // written beyond the launch's shared memory
}

static void launch(const int (&grid)[3], int threads, void (*kernel)(), int shared = 0) {
    body = kernel;
    launched_bytes = shared;
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
#define __launch_bounds__(...)

inline void __syncthreads() { emulation::barrier(0); }
inline int __syncthreads_or(int vote) { return emulation::barrier(vote != 0); }
inline unsigned long long atomicMax(unsigned long long* at, unsigned long long value) {
    const unsigned long long old = *at;
    *at = std::max(old, value);
    return old;
}
inline int atomicAdd(int* at, int value) {
    const int old = *at;
    *at += value;
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

inline void* launched_shared() { return emulation::launched; }

// Every lane's value, for what `of` makes of them; all lanes of a warp call it.
template <typename Of>
auto over_warp(unsigned value, Of of) {
    using namespace emulation;
    const int lane = current % 32;
    Warp& warp = warps[current / 32];
    warp.value[lane] = value;
    warp_barrier(warp);
    const auto result = of(warp.value);
    warp_barrier(warp);
    return result;
}
inline unsigned ballot(bool vote) {
    return over_warp(vote, [](const unsigned* votes) {
        unsigned bits = 0;
        for (int lane = 0; lane < 32; ++lane) bits |= votes[lane] << lane;
        return bits;
    });
}
inline unsigned max_of_warp(unsigned value) {
    return over_warp(value, [](const unsigned* values) { return *std::max_element(values, values + 32); });
}
inline unsigned or_of_warp(unsigned value) {
    return over_warp(value, [](const unsigned* values) {
        unsigned bits = 0;
        for (int lane = 0; lane < 32; ++lane) bits |= values[lane];
        return bits;
    });
}
inline unsigned from_lane(unsigned value, int lane) {
    return over_warp(value, [lane](const unsigned* values) { return values[lane % 32]; });
}
inline int bits_set(unsigned word) { return __builtin_popcount(word); }
inline int lowest_bit(unsigned word) { return __builtin_ffs(static_cast<int>(word)) - 1; }
inline int recomputed(int value) { return value; }

inline void load_matrices(unsigned (&words)[4], const void* row) {
    using namespace emulation;
    const int lane = current % 32;
    Warp& warp = warps[current / 32];
    if (reinterpret_cast<std::uintptr_t>(row) % 16) std::abort();
    warp.row[lane] = row;
    warp_barrier(warp);
    for (int matrix = 0; matrix < 4; ++matrix)  // lane l receives elements 2·(l % 4) and the next of row l / 4
        std::memcpy(&words[matrix], static_cast<const char*>(warp.row[8 * matrix + lane / 4]) + 4 * (lane % 4), 4);
    warp_barrier(warp);
}

inline void copy_async(void* to, const void* from, bool real) {
    if (reinterpret_cast<std::uintptr_t>(to) % 16 || reinterpret_cast<std::uintptr_t>(from) % 16) std::abort();
    emulation::Copy copy{to, {}};
    if (real) std::memcpy(copy.bytes, from, 16);
    std::memset(to, 0xff, 16);
    emulation::copies[emulation::current].open.push_back(copy);
}
inline void end_copy_group() {
    auto& mine = emulation::copies[emulation::current];
    mine.groups.push_back(std::move(mine.open));
    mine.open.clear();
}
template <int kPending>
void wait_for_copies() {
    auto& groups = emulation::copies[emulation::current].groups;
    for (; groups.size() > kPending; groups.pop_front())
        for (const emulation::Copy& copy : groups.front()) std::memcpy(copy.to, copy.bytes, 16);
}

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

// The arguments of a launch in the kernel's own order, each eight bytes.
const std::uint64_t* arguments;

template <typename T>
T argument(int index) {
    T value;
    std::memcpy(&value, &arguments[index], sizeof value);
    return value;
}
template <typename... Ts, std::size_t... I>
void call(void (*kernel)(Ts...), std::index_sequence<I...>) {
    kernel(argument<Ts>(I)...);
}
template <auto kernel, typename... Ts>
void call_with(void (*)(Ts...)) {
    call(kernel, std::index_sequence_for<Ts...>{});
}

struct Entry {
    const char* name;
    void (*body)();
};
#define ENTRY(kernel) Entry{#kernel, [] { call_with<kernel>(kernel); }}
const Entry entries[] = {
    ENTRY(patch_match_fp32),       ENTRY(patch_match_fp16), ENTRY(patch_match_split_fp32), ENTRY(patch_match_split_fp16),
    ENTRY(patch_match_finish),     ENTRY(patch_paste_fp32), ENTRY(patch_paste_fp16),       ENTRY(patch_pack_fp16),
    ENTRY(patch_plan_fp16),        ENTRY(patch_sweep_128_fp16), ENTRY(patch_sweep_64_fp16),
};

}  // namespace

// Runs one entry point; 0, or 1 if there is none of that name.
extern "C" int run(const char* name, const int* grid, int threads, int shared, const std::uint64_t* values) {
    for (const Entry& entry : entries)
        if (!std::strcmp(entry.name, name)) {
            arguments = values;
            emulation::launch({grid[0], grid[1], grid[2]}, threads, entry.body, shared);
            return 0;
        }
    return 1;
}
