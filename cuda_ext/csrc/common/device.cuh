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

__device__ inline unsigned float_bits(float value) { return __float_as_uint(value); }
__device__ inline float bits_float(unsigned bits) { return __uint_as_float(bits); }

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

// Score and key in one number whose order is: higher score first, then smaller key. Zero stands for "none".
__device__ inline unsigned long long pack(float score, int key) {
    const unsigned bits = float_bits(score + 0.0f);  // −0 becomes +0, which compares equal but sorts above
    const unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<unsigned long long>(ordered) << 32 | (0xffffffffu - static_cast<unsigned>(key));
}

__device__ inline int unpack_key(unsigned long long packed) {
    return packed ? static_cast<int>(0xffffffffu - static_cast<unsigned>(packed)) : -1;
}

}  // namespace pix2rt
