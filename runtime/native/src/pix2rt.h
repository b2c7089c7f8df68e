/* What the Python side and the kernels agree on. Every field is checked and filled by runtime/engines/native_steps.py;
 * library.py holds the same structures for ctypes. Change P2R_ABI with any of them. */
#ifndef PIX2RT_H
#define PIX2RT_H
#include <stddef.h>
#include <stdint.h>

#define P2R_ABI 3

#if defined(_WIN32)
#define P2R_EXPORT __declspec(dllexport)
#else
#define P2R_EXPORT __attribute__((visibility("default")))
#endif

/* A tensor as a layer reads it: y = act(x * scale + shift). It lies in blocks of B channels, [N][ceil(C/B)][H][W][B];
 * lanes beyond C hold anything finite. Offsets are bytes from the start of the arena; -1 means none. */
typedef struct {
    int64_t data;
    int64_t scale, shift; /* [N][ceil(C/B)*B] floats each */
    int32_t channels, height, width;
    int32_t act; /* P2R_PLAIN, … */
    float alpha; /* slope below 0 of P2R_LEAKY; 0 is ReLU */
    int32_t padding_;
} p2r_operand;

enum { P2R_PLAIN, P2R_LEAKY, P2R_TANH };

/* Weights of some consecutive channels of one operand, where the mapped file has them: the one of output k, channel c
 * and kernel position t is data[k * row + c * column + t]. The data need not be aligned. */
typedef struct {
    const void *data;
    int64_t row, column; /* floats */
    int32_t operand, first, channels;
    int32_t padding_;
} p2r_weights;

enum {
    P2R_CONV,
    P2R_CONV_TRANSPOSE,
    P2R_NORM,           /* stats -> scale, shift of [N][C] */
    P2R_SUM,            /* one or more operands, added or subtracted */
    P2R_CONCAT,
    P2R_STATS,
    P2R_AVERAGE_POOL,
    P2R_MAX_POOL,
    P2R_DEPTH_TO_SPACE,
    P2R_UPSAMPLE,
    P2R_FROM_BYTES,
    P2R_TO_BYTES,
    P2R_TO_FLOATS,
    P2R_CODES,          /* label map, instance map -> code of each pixel */
    P2R_POOL_CODES,
    P2R_STEM,           /* convolution of codes */
    P2R_LABEL_FEATURES, /* codes as floats, for whatever is no convolution */
    P2R_STYLE_FEATURES,
    P2R_MASK_FROM_BYTES,
    P2R_TO_MASK,        /* a value of one channel -> mask */
    P2R_FROM_MASK,
    P2R_MASK_POOL,
    P2R_MASK_UPSAMPLE,
    P2R_SELECT,
    P2R_BLEND,
    P2R_SMOOTH_FILL,
    P2R_PATCH_MATCH,    /* features, mask -> match, int32 [N][H][W] */
    P2R_PATCH_PASTE,
    P2R_PASTE_BYTES,
    P2R_TO_MATCH,
    P2R_FROM_FLOATS,    /* floats [N][C] -> vector, a map of one pixel */
    P2R_EXPAND,         /* linear: vector -> map */
    P2R_CONTRACT,       /* linear: map -> vector */
    P2R_ACT_GRADIENT,
    P2R_CONTEXTUAL,     /* see search.h */
    P2R_PERCEPTUAL,
    P2R_MOMENTUM,
    P2R_BOUNDED_SUM,
    P2R_KINDS
};

enum { P2R_AUTO, P2R_DIRECT, P2R_WINOGRAD };

typedef struct {
    int32_t kind, batch;
    int32_t n_in, n_weights;
    const p2r_operand *in;
    const p2r_weights *weights;
    const void *bias, *gain;           /* floats of one output channel each, unaligned; or NULL */
    int64_t out;                       /* arena; of P2R_NORM: scale, then shift */
    int64_t stats;                     /* arena: doubles [N][ceil(C/B)*B][mean, variance]; or -1 */
    int64_t codes, codes_out;          /* arena: see stem.h; of patches: their match */
    int64_t mask, mask_out;            /* arena: see mask.h */
    int64_t scratch;                   /* arena: memory of the layer's own, as large as `scratch` says */
    int64_t packed;                    /* arena: weights that stay packed between calls, as large as `packed` says; or -1 */
    int32_t channels, height, width;   /* of the output */
    int32_t source[2];                 /* height and width of `codes` and `mask` */
    int32_t kernel[2], stride[2], dilation[2], pad[2];
    int32_t is_reflected;
    int32_t algorithm;
    int32_t buffers[3];                /* indices of engine inputs and outputs; or -1 */
    int32_t options[4];                /* see each kernel */
    float scale, shift;                /* of bytes; scale is the epsilon of P2R_NORM */
} p2r_layer;

typedef struct {
    void *data;
    int64_t bytes;
} p2r_buffer;

/* One call of a plan. */
typedef struct {
    char *arena;
    int64_t arena_bytes;
    const p2r_buffer *buffers;
    int32_t n_buffers, threads;
    int32_t is_prepared, padding_; /* whether what `packed` points to is there from a call before */
} p2r_call;

/* The kernels of one instruction set. */
typedef struct {
    const char *name;
    int32_t lanes;
    int64_t (*scratch)(const p2r_layer *, int threads); /* bytes that `run` needs; -1: it cannot run this layer */
    int64_t (*packed)(const p2r_layer *); /* bytes of its packed weights; 0: it keeps none */
    void (*run)(const p2r_layer *, const p2r_call *);
    double (*peak)(void); /* products a second that the innermost loop reaches on one thread, all in the first cache */
} p2r_kernels;

extern const p2r_kernels p2r_generic, p2r_avx2, p2r_avx512, p2r_neon;

/* `work(context, unit, worker)` for every unit below `count`, on at most `threads` threads; worker < threads. */
typedef void (*p2r_work)(void *context, int unit, int worker);
void p2r_parallel(int threads, int count, p2r_work work, void *context);
void p2r_enter(void);
void p2r_leave(void);

#endif
