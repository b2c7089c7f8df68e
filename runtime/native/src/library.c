/* The functions that Python calls. Which kernels run is decided here, by CPUID. */
#include "pix2rt.h"
#include "system.h"
#include <stdlib.h>
#include <string.h>

void p2r_prepare_pool(void);

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid(int leaf, unsigned out[4]) { __cpuidex((int *)out, leaf, 0); }
static unsigned enabled_state(void) { return (unsigned)_xgetbv(0); }
#else
static void cpuid(int leaf, unsigned out[4]) {
    __asm__("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}
static unsigned enabled_state(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif
enum { OSXSAVE = 1u << 27, AVX = 1u << 28, FMA = 1u << 12, AVX2 = 1u << 5, AVX512F = 1u << 16 };

/* 0: neither; 1: AVX2 and FMA; 2: AVX-512F, too. The operating system must save the registers as well. */
static int x86_level(void) {
    unsigned first[4], basic[4], extended[4] = {0};
    cpuid(0, first);
    cpuid(1, basic);
    if (first[0] < 7 || !(basic[2] & OSXSAVE) || !(basic[2] & AVX) || !(basic[2] & FMA)) return 0;
    cpuid(7, extended);
    unsigned state = enabled_state();
    if ((state & 0x6) != 0x6 || !(extended[1] & AVX2)) return 0;
    return (state & 0xe6) == 0xe6 && (extended[1] & AVX512F) ? 2 : 1;
}
#endif

/* Best first; NULL at the end. */
static void supported(const p2r_kernels *list[4]) {
    int n = 0;
#if defined(__x86_64__) || defined(_M_X64)
    int level = x86_level();
#if defined(P2R_HAVE_AVX512)
    if (level >= 2) list[n++] = &p2r_avx512;
#endif
#if defined(P2R_HAVE_AVX2)
    if (level >= 1) list[n++] = &p2r_avx2;
#endif
    (void)level;
#endif
#if defined(P2R_HAVE_NEON)
    list[n++] = &p2r_neon;
#endif
    list[n++] = &p2r_generic;
    list[n] = NULL;
}

P2R_EXPORT int32_t p2r_abi(void) { return P2R_ABI; }

/* The kernels called `name`, or the best for NULL; NULL where this machine or build has none. */
P2R_EXPORT const p2r_kernels *p2r_find(const char *name) {
    static p2r_atomic prepared;
    if (p2r_add(&prepared, 1) == 0) p2r_prepare_pool();
    const p2r_kernels *list[4];
    supported(list);
    for (int i = 0; list[i]; i++)
        if (!name || !strcmp(name, list[i]->name)) return list[i];
    return NULL;
}

P2R_EXPORT int32_t p2r_lanes(const p2r_kernels *kernels) { return kernels->lanes; }
P2R_EXPORT const char *p2r_name(const p2r_kernels *kernels) { return kernels->name; }

P2R_EXPORT double p2r_peak(const p2r_kernels *kernels) { return kernels->peak(); }

P2R_EXPORT int64_t p2r_scratch(const p2r_kernels *kernels, const p2r_layer *layer, int32_t threads) {
    return kernels->scratch(layer, threads);
}

P2R_EXPORT int64_t p2r_packed(const p2r_kernels *kernels, const p2r_layer *layer) { return kernels->packed(layer); }

static int is_inside(const p2r_call *call, int64_t offset, int64_t bytes) {
    return offset >= 0 && bytes >= 0 && offset % 8 == 0 && offset <= call->arena_bytes &&
           bytes <= call->arena_bytes - offset;
}

/* Of a pixel in `codes`, or in `codes_out` where `is_out`. */
static int64_t code_bytes(const p2r_layer *layer, int is_out) {
    if (layer->kind == P2R_PATCH_MATCH || layer->kind == P2R_PATCH_PASTE || layer->kind == P2R_TO_MATCH) return 4;
    return is_out || layer->kind == P2R_STEM ? 2 + 4 * layer->options[3] : 2;
}

/* Whether what a layer reads and writes lies in the arena: the planner has seen to it, a slip of its would be a crash. */
static int is_sound(const p2r_kernels *kernels, const p2r_layer *layer, const p2r_call *call) {
    int64_t lanes = kernels->lanes, n = layer->batch;
    for (int i = 0; i < layer->n_in; i++) {
        const p2r_operand *x = &layer->in[i];
        int64_t channels = (x->channels + lanes - 1) / lanes * lanes;
        if (!is_inside(call, x->data, n * channels * x->height * x->width * 4)) return 0;
        if (x->scale >= 0 && !is_inside(call, x->scale, n * channels * 4)) return 0;
        if (x->scale >= 0 && !is_inside(call, x->shift, n * channels * 4)) return 0;
    }
    for (int i = 0; i < 3; i++)
        if (layer->buffers[i] >= call->n_buffers) return 0;
    int64_t channels = (layer->channels + lanes - 1) / lanes * lanes;
    int64_t bytes = layer->kind == P2R_NORM ? 2 * n * channels * 4 : n * channels * layer->height * layer->width * 4;
    if (layer->out >= 0 && !is_inside(call, layer->out, bytes)) return 0;
    if (layer->stats >= 0 && !is_inside(call, layer->stats, n * channels * 16)) return 0;
    int64_t pixels = n * layer->height * layer->width, before = n * layer->source[0] * layer->source[1];
    if (layer->codes >= 0 && !is_inside(call, layer->codes, before * code_bytes(layer, 0))) return 0;
    if (layer->codes_out >= 0 && !is_inside(call, layer->codes_out, pixels * code_bytes(layer, 1))) return 0;
    if (layer->mask >= 0 && !is_inside(call, layer->mask, before * 4)) return 0;
    if (layer->mask_out >= 0 && !is_inside(call, layer->mask_out, pixels * 4)) return 0;
    if (layer->packed >= 0 && !is_inside(call, layer->packed, kernels->packed(layer))) return 0;
    int64_t scratch = kernels->scratch(layer, call->threads);
    return scratch >= 0 && is_inside(call, layer->scratch, scratch);
}

/* Runs the layers in order; seconds of each go to `seconds` where it is not NULL. Returns -1, or the number of the
 * first layer that does not fit, in which case nothing ran. */
P2R_EXPORT int32_t p2r_run(const p2r_kernels *kernels, const p2r_layer *layers, int32_t count, const p2r_call *call,
                           double *seconds) {
    for (int32_t i = 0; i < count; i++)
        if (layers[i].kind < 0 || layers[i].kind >= P2R_KINDS || !is_sound(kernels, &layers[i], call)) return i;
    p2r_enter();
    for (int32_t i = 0; i < count; i++) {
        double start = seconds ? p2r_clock() : 0;
        kernels->run(&layers[i], call);
        if (seconds) seconds[i] = p2r_clock() - start;
    }
    p2r_leave();
    return -1;
}
