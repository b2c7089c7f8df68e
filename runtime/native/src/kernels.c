/* The kernels of one instruction set: compiled once for each, with its own flags and P2R_ISA_… (see setup.py). Nothing
 * else is compiled with those flags, so that the library loads on any CPU. */
#include "bytes.h"
#include "direct.h"
#include "fill.h"
#include "mask.h"
#include "patch_match.h"
#include "patch_paste.h"
#include "search.h"
#include "stem.h"
#include "system.h"
#include "winograd.h"

static int uses_winograd(const p2r_layer *layer) {
    if (!winograd_fits(layer) || layer->algorithm == P2R_DIRECT) return 0;
    return layer->algorithm == P2R_WINOGRAD || (!is_narrow(layer) && winograd_pays(layer));
}

static int64_t scratch(const p2r_layer *layer, int threads) {
    switch (layer->kind) {
    case P2R_CONV:
    case P2R_CONV_TRANSPOSE: return uses_winograd(layer) ? winograd_scratch(layer, threads) : direct_scratch(layer, threads);
    case P2R_STEM: return stem_scratch(layer, threads);
    case P2R_SMOOTH_FILL: return fill_scratch(layer);
    case P2R_PATCH_MATCH: return match_scratch(layer, threads);
    case P2R_EXPAND: return expand_scratch(layer, threads);
    case P2R_CONTRACT: return contract_scratch(layer);
    case P2R_CONTEXTUAL: return contextual_scratch(layer);
    default: return 0;
    }
}

static int64_t packed(const p2r_layer *layer) {
    if (layer->kind != P2R_CONV && layer->kind != P2R_CONV_TRANSPOSE) return 0;
    return uses_winograd(layer) ? 0 : direct_packed(layer);
}

static void run(const p2r_layer *layer, const p2r_call *call) {
    switch (layer->kind) {
    case P2R_CONV:
    case P2R_CONV_TRANSPOSE:
        if (uses_winograd(layer)) winograd_run(layer, call);
        else direct_run(layer, call);
        break;
    case P2R_NORM: norm_run(layer, call); break;
    case P2R_SUM: run_rows(layer, call, sum_row); break;
    case P2R_CONCAT: run_rows(layer, call, concat_row); break;
    case P2R_STATS: stats_run(layer, call); break;
    case P2R_AVERAGE_POOL:
    case P2R_MAX_POOL: run_rows(layer, call, pool_row); break;
    case P2R_DEPTH_TO_SPACE: run_rows(layer, call, depth_to_space_row); break;
    case P2R_UPSAMPLE: run_rows(layer, call, upsample_row); break;
    case P2R_FROM_BYTES:
    case P2R_TO_BYTES:
    case P2R_PASTE_BYTES:
    case P2R_TO_FLOATS: bytes_run(layer, call); break;
    case P2R_CODES:
    case P2R_POOL_CODES: codes_run(layer, call); break;
    case P2R_STEM: stem_run(layer, call); break;
    case P2R_LABEL_FEATURES: run_rows(layer, call, label_features_row); break;
    case P2R_STYLE_FEATURES: run_rows(layer, call, style_features_row); break;
    case P2R_MASK_FROM_BYTES: mask_run(layer, call, mask_from_bytes_row); break;
    case P2R_TO_MASK: mask_run(layer, call, to_mask_row); break;
    case P2R_FROM_MASK: mask_run(layer, call, from_mask_row); break;
    case P2R_MASK_POOL: mask_run(layer, call, mask_pool_row); break;
    case P2R_MASK_UPSAMPLE: mask_run(layer, call, mask_upsample_row); break;
    case P2R_SELECT: run_rows(layer, call, select_row); break;
    case P2R_BLEND: run_rows(layer, call, blend_row); break;
    case P2R_SMOOTH_FILL: fill_run(layer, call); break;
    case P2R_PATCH_MATCH: match_run(layer, call); break;
    case P2R_PATCH_PASTE: run_rows(layer, call, paste_row); break;
    case P2R_TO_MATCH: to_match_run(layer, call); break;
    case P2R_FROM_FLOATS: run_rows(layer, call, from_floats_block); break;
    case P2R_EXPAND: expand_run(layer, call); break;
    case P2R_CONTRACT: contract_run(layer, call); break;
    case P2R_ACT_GRADIENT: run_rows(layer, call, act_gradient_row); break;
    case P2R_CONTEXTUAL: contextual_run(layer, call); break;
    case P2R_PERCEPTUAL: {
        row_job job = {layer, call, {0}};
        p2r_parallel(call->threads, layer->batch, perceptual_image, &job);
        break;
    }
    case P2R_MOMENTUM: run_rows(layer, call, momentum_row); break;
    case P2R_BOUNDED_SUM: run_rows(layer, call, bounded_sum_row); break;
    default: break;
    }
}

static double peak(void) {
    enum { DEPTH = 8 }; /* blocks of channels */
    float pixels[DEPTH * ROWS * B] = {0}, weights[DEPTH * B * PANEL * B] = {0}, out[ROWS * PANEL * B];
    const int64_t taps[1] = {0};
    product p = {pixels, ROWS * B, taps, 1, DEPTH, B, weights, NULL, out, PANEL * B, B, 0, 0, NULL, 0};
    void (*volatile form)(const product *) = multiply_forms[ROWS - 1][PANEL - 1]; /* not to be optimised away */
    double best = 0, begin = p2r_clock();
    while (p2r_clock() - begin < 0.05) { /* the best of short runs: others may have the core at times */
        double start = p2r_clock();
        for (int i = 0; i < 500; i++) form(&p);
        double rate = 500.0 * DEPTH * B * ROWS * PANEL * B / (p2r_clock() - start);
        if (rate > best) best = rate;
    }
    return best;
}

const p2r_kernels ISA_TABLE = {ISA_NAME, B, scratch, packed, run, peak};
