/* One vector of floats of the instruction set that this file is compiled for: B lanes, which is also how many channels
 * lie together in a tensor. ROWS × PANEL vectors of outputs stay in registers in the innermost loop (see micro.h).
 * To add an instruction set, add its section here, its name to library.c and its flags to setup.py. */
#ifndef P2R_VEC_H
#define P2R_VEC_H
#include <math.h>
#include <string.h>

#if defined(_MSC_VER)
#define INLINE static __forceinline
#define UNROLL
#else
#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(P2R_ISA_AVX512)
#include <immintrin.h>
#define ISA_NAME "avx512"
#define ISA_TABLE p2r_avx512
enum { B = 16, ROWS = 12 };
typedef __m512 vec;
INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
INLINE vec v_set(float a) { return _mm512_set1_ps(a); }
INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE float v_highest(vec a) { return _mm512_reduce_max_ps(a); }
INLINE vec v_if_positive(vec x, vec a, vec b) { /* a where x is above 0, else b */
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), a);
}
INLINE vec v_within(vec a, float most) { /* 0 for what is beyond, or NaN */
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(a), v_set(most), _CMP_LE_OQ), a);
}
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE void v_prefetch(const float *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
INLINE void v_prefetch_far(const float *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
#define HAS_TRANSPOSE
INLINE void v_transpose(vec *r) {
    vec t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 16; i += 8) UNROLL for (int j = 0; j < 4; j++) {
        t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0x88);
        t[i + j + 4] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0xdd);
    }
    UNROLL for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    }
}

#elif defined(P2R_ISA_AVX2)
#include <immintrin.h>
#define ISA_NAME "avx2"
#define ISA_TABLE p2r_avx2
enum { B = 8, ROWS = 6 };
typedef __m256 vec;
INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
INLINE vec v_set(float a) { return _mm256_set1_ps(a); }
INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE float v_highest(vec a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
INLINE vec v_if_positive(vec x, vec a, vec b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}
INLINE vec v_within(vec a, float most) {
    vec magnitude = _mm256_andnot_ps(v_set(-0.0f), a);
    return _mm256_and_ps(a, _mm256_cmp_ps(magnitude, v_set(most), _CMP_LE_OQ));
}
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE void v_prefetch(const float *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
INLINE void v_prefetch_far(const float *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
#define HAS_TRANSPOSE
INLINE void v_transpose(vec *r) {
    vec t[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (int j = 0; j < 4; j++) {
        t[j] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20);
        t[j + 4] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
    }
    UNROLL for (int j = 0; j < 8; j++) r[j] = t[j];
}

#elif defined(P2R_ISA_NEON)
#include <arm_neon.h>
#define ISA_NAME "neon"
#define ISA_TABLE p2r_neon
enum { B = 4, ROWS = 8 };
typedef float32x4_t vec;
INLINE vec v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vec a) { vst1q_f32(p, a); }
INLINE vec v_set(float a) { return vdupq_n_f32(a); }
INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
INLINE vec v_min(vec a, vec b) { return vminq_f32(a, b); }
INLINE vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
INLINE float v_highest(vec a) { return vmaxvq_f32(a); }
INLINE vec v_if_positive(vec x, vec a, vec b) { return vbslq_f32(vcgtq_f32(x, vdupq_n_f32(0)), a, b); }
INLINE vec v_within(vec a, float most) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vcaleq_f32(a, v_set(most))));
}
INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
INLINE void v_prefetch(const float *p) { (void)p; }
INLINE void v_prefetch_far(const float *p) { (void)p; }

#else /* plain C */
#define ISA_NAME "generic"
#define ISA_TABLE p2r_generic
enum { B = 4, ROWS = 4 };
#if defined(__GNUC__)
typedef float vec __attribute__((vector_size(16)));
INLINE vec v_set(float a) { return (vec){a, a, a, a}; }
INLINE vec v_add(vec a, vec b) { return a + b; }
INLINE vec v_sub(vec a, vec b) { return a - b; }
INLINE vec v_mul(vec a, vec b) { return a * b; }
INLINE vec v_div(vec a, vec b) { return a / b; }
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
#define LANES(expression) do { for (int i = 0; i < B; i++) r[i] = expression; } while (0)
INLINE vec v_min(vec a, vec b) { vec r; LANES(a[i] < b[i] ? a[i] : b[i]); return r; }
INLINE vec v_max(vec a, vec b) { vec r; LANES(a[i] > b[i] ? a[i] : b[i]); return r; }
#else
typedef struct { float f[4]; } vec;
#define LANES(expression) vec r; for (int i = 0; i < B; i++) r.f[i] = expression; return r
INLINE vec v_set(float a) { LANES(a); }
INLINE vec v_add(vec a, vec b) { LANES(a.f[i] + b.f[i]); }
INLINE vec v_sub(vec a, vec b) { LANES(a.f[i] - b.f[i]); }
INLINE vec v_mul(vec a, vec b) { LANES(a.f[i] * b.f[i]); }
INLINE vec v_div(vec a, vec b) { LANES(a.f[i] / b.f[i]); }
INLINE vec v_fma(vec a, vec b, vec c) { LANES(a.f[i] * b.f[i] + c.f[i]); }
INLINE vec v_min(vec a, vec b) { LANES(a.f[i] < b.f[i] ? a.f[i] : b.f[i]); }
INLINE vec v_max(vec a, vec b) { LANES(a.f[i] > b.f[i] ? a.f[i] : b.f[i]); }
#endif
#undef LANES
INLINE vec v_load(const float *p) { vec a; memcpy(&a, p, sizeof a); return a; }
INLINE void v_store(float *p, vec a) { memcpy(p, &a, sizeof a); }
INLINE void v_prefetch(const float *p) { (void)p; }
INLINE void v_prefetch_far(const float *p) { (void)p; }
INLINE float v_highest(vec a) {
    float values[B], most;
    v_store(values, a);
    most = values[0];
    for (int i = 1; i < B; i++) most = values[i] > most ? values[i] : most;
    return most;
}
INLINE vec v_if_positive(vec x, vec a, vec b) {
    float by[B], yes[B], no[B];
    v_store(by, x);
    v_store(yes, a);
    v_store(no, b);
    for (int i = 0; i < B; i++) no[i] = by[i] > 0 ? yes[i] : no[i];
    return v_load(no);
}
INLINE vec v_within(vec a, float most) {
    float values[B];
    v_store(values, a);
    for (int i = 0; i < B; i++) values[i] = fabsf(values[i]) <= most ? values[i] : 0.0f;
    return v_load(values);
}
#endif

#if !defined(HAS_TRANSPOSE)
INLINE void v_transpose(vec *r) {
    float rows[B][B], columns[B][B];
    memcpy(rows, r, sizeof rows);
    for (int i = 0; i < B; i++) for (int j = 0; j < B; j++) columns[j][i] = rows[i][j];
    memcpy(r, columns, sizeof columns);
}
#endif

INLINE vec v_zero(void) { return v_set(0.0f); }

/* A rational approximation of degree 13 / 6, within 1e-7 or so; at ±9 it is ±1. */
INLINE vec v_tanh(vec x) {
    x = v_max(v_min(x, v_set(9.0f)), v_set(-9.0f));
    vec s = v_mul(x, x), p = v_set(-2.76076847742355e-16f), q = v_set(1.19825839466702e-06f);
    p = v_fma(p, s, v_set(2.00018790482477e-13f));
    p = v_fma(p, s, v_set(-8.60467152213735e-11f));
    p = v_fma(p, s, v_set(5.12229709037114e-08f));
    p = v_fma(p, s, v_set(1.48572235717979e-05f));
    p = v_fma(p, s, v_set(6.37261928875436e-04f));
    p = v_fma(p, s, v_set(4.89352455891786e-03f));
    q = v_fma(q, s, v_set(1.18534705686654e-04f));
    q = v_fma(q, s, v_set(2.26843463243900e-03f));
    q = v_fma(q, s, v_set(4.89352518554385e-03f));
    return v_max(v_min(v_div(v_mul(x, p), q), v_set(1.0f)), v_set(-1.0f));
}

#endif
