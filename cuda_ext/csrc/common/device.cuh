// What the kernels need from the machine: half precision, one tensor-core instruction, ordered bits of a float.
//
// Without CUDA's headers, so that NVRTC compiles it without an include path. A host compiler may compile the kernels too
// if it first defines PIX2RT_EMULATION and the names of the other branch: the tests run every kernel that way.
#pragma once

namespace pix2rt {

struct Half {
    unsigned short bits;
};

#ifndef PIX2RT_EMULATION

__device__ inline float to_float(Half value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

__device__ inline Half to_half(float value) {
    Half result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}

// sums[16×8] += a[16×16] · b[16×8] by one warp; half-precision factors, float32 sums. PTX ISA, "mma.m16n8k16".
__device__ inline void mma_16x8x16(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8×8 matrices of half precision; lane l gives the address of row l % 8 of matrix l / 8. PTX ISA, "ldmatrix".
__device__ inline void load_matrices(unsigned (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
                 : "memory");
}

// 16 bytes from global to shared memory, or zeros if not `real`; there only after `wait_for_copies`.
__device__ inline void copy_async(void* to, const void* from, bool real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(real ? 16 : 0)
                 : "memory");
}
__device__ inline void end_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// This thread's groups but the last `kPending`; others see them after a barrier.
template <int kPending>
__device__ inline void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Of whole warps.
__device__ inline unsigned ballot(bool vote) { return __ballot_sync(0xffffffffu, vote); }
__device__ inline unsigned max_of_warp(unsigned value) { return __reduce_max_sync(0xffffffffu, value); }
__device__ inline unsigned or_of_warp(unsigned value) { return __reduce_or_sync(0xffffffffu, value); }
__device__ inline unsigned from_lane(unsigned value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
__device__ inline int bits_set(unsigned word) { return __popc(word); }
__device__ inline int lowest_bit(unsigned word) { return __ffs(static_cast<int>(word)) - 1; }

// The same value, of which the compiler forgets what it knows: what follows from it is computed where it is needed, not
// once before a loop and kept in a register.
__device__ inline int recomputed(int value) {
    asm volatile("" : "+r"(value));
    return value;
}

__device__ inline unsigned float_bits(float value) { return __float_as_uint(value); }
__device__ inline float bits_float(unsigned bits) { return __uint_as_float(bits); }

// Shared memory whose size the launch gives.
__device__ inline void* launched_shared() {
    extern __shared__ __align__(128) unsigned char memory[];
    return memory;
}

#endif

__device__ inline float to_float(float value) { return value; }

template <typename T>
__device__ T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) { return value; }
template <>
__device__ inline Half from_float<Half>(float value) { return to_half(value); }

// A feature as the match sees it: what is not finite, or so large that a patch's energy would overflow, counts as zero.
__device__ inline float usable(float value) { return fabsf(value) <= 1e15f ? value : 0.0f; }
__device__ inline Half usable(Half value) { return (value.bits & 0x7c00u) == 0x7c00u ? Half{0} : value; }

// Bits in the order of the numbers; never zero.
__device__ inline unsigned ordered_bits(float value) {
    const unsigned bits = float_bits(value + 0.0f);  // −0 becomes +0, which compares equal but sorts above
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float from_ordered_bits(unsigned bits) { return bits_float(bits & 0x80000000u ? bits ^ 0x80000000u : ~bits); }

// Score and key in one number whose order is: higher score first, then smaller key. Zero stands for "none".
__device__ inline unsigned long long pack_ordered(unsigned score, int key) {
    return static_cast<unsigned long long>(score) << 32 | (0xffffffffu - static_cast<unsigned>(key));
}
__device__ inline unsigned long long pack(float score, int key) { return pack_ordered(ordered_bits(score), key); }

__device__ inline int unpack_key(unsigned long long packed) {
    return packed ? static_cast<int>(0xffffffffu - static_cast<unsigned>(packed)) : -1;
}

}  // namespace pix2rt
