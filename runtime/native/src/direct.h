/* Convolutions by multiplying patches with panels of weights.
 *
 * Wide: maps are larger than weights. All weights are packed once; a unit of work is a tile of the output, whose patch
 * stays in its core's cache. Deep: weights are larger than maps. The whole input is one patch; a unit is a panel of
 * output channels, whose weights are packed a piece at a time and used at once for all pixels of all images. */
#ifndef P2R_DIRECT_H
#define P2R_DIRECT_H
#include "geometry.h"
#include "narrow.h"
#include "pack.h"

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    geometry g;
    int is_deep, panels, n_blocks, n_channels;
    int rows, columns, tiles_y, tiles_x;  /* of a tile, in a phase's grid; tiles of an image */
    int64_t patch, piece;                 /* floats: of a patch, of a packed piece of weights */
    int64_t all_weights;                  /* floats: of all of them, packed */
    int is_packed;                        /* whether they are, from a call before */
    float *bias, *weights, *patches, *pieces; /* weights: NULL where they are packed a piece at a time */
    partial_stats partial;
} direct_job;

INLINE int taps_of(const geometry *g, int phase) { return g->first_tap[phase + 1] - g->first_tap[phase]; }
/* Blocks that are multiplied together, so that a phase's weights stay in the first cache. */
INLINE int piece_blocks(const geometry *g) {
    int most = 1;
    for (int p = 0; p < g->n_phases; p++) most = max_int(most, taps_of(g, p));
    return max_int(1, 288 / (B * most));
}

static int64_t direct_setup(const p2r_layer *layer, const p2r_call *call, int threads, direct_job *job) {
    geometry *g = &job->g;
    if (!geometry_of(layer, g)) return -1;
    job->layer = layer;
    job->call = call;
    job->n_blocks = total_blocks(layer);
    job->n_channels = total_channels(layer);
    job->panels = ceil_div(blocks(layer->channels), PANEL);
    int taps = layer->kernel[0] * layer->kernel[1];
    int64_t weights = (int64_t)job->panels * PANEL * B * job->n_channels * taps;
    if (is_narrow(layer)) weights = (int64_t)taps * job->n_blocks * layer->channels * B;
    int64_t whole = job->n_blocks * patch_floats(g, g->grid[0], g->grid[1]);
    job->is_deep = job->panels >= 4 && weights > 65536 && layer->batch * whole < 2 * weights;
    job->rows = g->grid[0];
    job->columns = g->grid[1];
    if (!job->is_deep) {
        job->columns = ceil_div(g->grid[1], ceil_div(g->grid[1], 60));
        job->rows = 1;
        while (job->rows < min_int(g->grid[0], 8) &&
               job->n_blocks * patch_floats(g, job->rows + 1, job->columns) < 80 * 1024) job->rows++;
    }
    job->tiles_y = ceil_div(g->grid[0], job->rows);
    job->tiles_x = ceil_div(g->grid[1], job->columns);
    job->patch = job->n_blocks * patch_floats(g, job->rows, job->columns) + 16;
    job->piece = (int64_t)piece_blocks(g) * B * taps * PANEL * B;
    int units = job->is_deep ? 1 : job->tiles_y * job->tiles_x;
    int keeps = layer->packed >= 0;
    job->all_weights = weights;
    job->is_packed = keeps && call && call->is_prepared;
    int64_t bytes[] = {blocks(layer->channels) * B * 4, (job->is_deep || keeps ? 0 : weights) * 4,
                       job->patch * 4 * (job->is_deep ? layer->batch : threads), keeps ? 0 : job->piece * 4 * threads};
    char *at = call ? call->arena + layer->scratch : NULL, *start = at;
    float **places[] = {&job->bias, &job->weights, &job->patches, &job->pieces};
    int64_t total = 0;
    for (int i = 0; i < 4; i++) {
        if (at) *places[i] = (float *)(start + total);
        total += round_up(bytes[i]);
    }
    if (at && keeps) job->weights = floats(call, layer->packed);
    else if (at && job->is_deep) job->weights = NULL;
    if (at) job->partial = (partial_stats){(double *)(start + total), units, blocks(layer->channels) * B};
    return total + partial_bytes(layer, units);
}

/* The patch of block `block` of an operand, for outputs from (y, x) on. */
static void pack_patch(const direct_job *job, int image, int operand, int block, int y, int x, int rows, int columns,
                       float *out) {
    const p2r_layer *layer = job->layer;
    const geometry *g = &job->g;
    plane p = plane_of(job->call, &layer->in[operand], image, block);
    int n = patch_columns(g, columns), x0 = x * g->stride[1] + g->origin[1], y0 = y * g->stride[0] + g->origin[0];
    for (int i = 0; i < patch_rows(g, rows); i++) {
        const float *row = row_of(&p, y0 + i, layer->is_reflected);
        for (int s = 0; s < g->stride[1]; s++, out += (int64_t)n * B)
            pack_row(&p, row, x0 + s, g->stride[1], n, layer->is_reflected, out);
    }
}

/* Floats from a patch's pixel to each tap of phase `p`; a line of the patch has `n` columns of each remainder. */
static void patch_taps(const geometry *g, int p, int64_t line, int n, int64_t *taps) {
    for (int t = 0; t < taps_of(g, p); t++) {
        int dx = g->dx[g->first_tap[p] + t], dy = g->dy[g->first_tap[p] + t];
        taps[t] = dy * line + ((int64_t)(dx % g->stride[1]) * n + dx / g->stride[1]) * B;
    }
}

/* Weights that a loop keeps come from the last cache or memory. Those of the next product follow this one's `floats`;
 * row `i` of `rows` fetches its share of them, so that they are there when their turn comes. */
INLINE void fetch_next(product *m, int64_t floats, int i, int rows) {
    int64_t share = floats / rows;
    m->next = m->w + floats + i * share;
    m->next_lines = (int)(share / LINE / max_int(1, m->n_taps * m->n_blocks)) + 1;
}

/* Outputs of one panel for the tile at (y, x) of images `from` … `to`, whose patches lie one after the other. */
static void direct_panel(const direct_job *job, int panel, int from, int to, int y, int x, int rows, int columns,
                         const float *patches, float *piece) {
    const p2r_layer *layer = job->layer;
    const geometry *g = &job->g;
    int width = min_int(PANEL, blocks(layer->channels) - panel * PANEL), n = patch_columns(g, columns);
    int64_t line = (int64_t)n * g->stride[1] * B, area = (int64_t)layer->height * layer->width * B;
    int64_t block = patch_floats(g, rows, columns), taps[POSITIONS];
    int many = piece_blocks(g), before = 0, channels = 0, adds = 0;
    int64_t of_panel = (int64_t)PANEL * B * job->n_channels * layer->kernel[0] * layer->kernel[1];
    const float *shared = job->is_deep ? NULL : job->weights + panel * of_panel;
    for (int o = 0; o < layer->n_in; before += blocks(layer->in[o].channels), channels += layer->in[o++].channels)
        for (int b = 0, all = layer->in[o].channels; b < blocks(all); b += many, adds = 1) {
            int n_blocks = min_int(many, blocks(all) - b), count = min_int(all, (b + n_blocks) * B) - b * B;
            if (job->is_deep && job->weights) /* kept: piece after piece, as they come here */
                piece = job->weights + panel * of_panel +
                        (int64_t)(channels + b * B) * width * B * layer->kernel[0] * layer->kernel[1];
            if (job->is_deep && !job->is_packed)
                pack_weights(layer, o, b, n_blocks, panel * PANEL * B, width, &g->order, 0, count, piece);
            for (int p = 0; p < g->n_phases; p++) {
                int oy = p / g->step[1], ox = p % g->step[1], n_taps = taps_of(g, p);
                int end_y = min_int(y + rows, ceil_div(layer->height - oy, g->step[0]));
                int pixels = min_int(x + columns, ceil_div(layer->width - ox, g->step[1])) - x;
                patch_taps(g, p, line, n, taps);
                const float *w = job->is_deep ? piece + (int64_t)g->first_tap[p] * count * width * B
                                              : shared + ((int64_t)g->first_tap[p] * job->n_channels +
                                                          (int64_t)(channels + b * B) * n_taps) * width * B;
                int64_t panel_floats = (int64_t)n_taps * count * width * B;
                for (int image = from; image < to && pixels > 0; image++)
                    for (int r = y; r < end_y; r++) {
                        const float *a = patches + (image - from) * job->patch + (before + b) * block +
                                         (int64_t)(r - y) * g->stride[0] * line;
                        float *out = floats(job->call, layer->out) +
                                     ((int64_t)image * blocks(layer->channels) + panel * PANEL) * area +
                                     ((int64_t)(r * g->step[0] + oy) * layer->width + x * g->step[1] + ox) * B;
                        product m = {a, block, taps, n_taps, n_blocks, count - (n_blocks - 1) * B, w,
                                     job->bias + panel * PANEL * B, out, (int64_t)g->step[1] * B, area, adds, block,
                                     NULL, 0};
                        if (job->is_deep && job->is_packed) fetch_next(&m, panel_floats, r - y, end_y - y);
                        multiply_pixels(m, pixels, width);
                    }
            }
        }
}

/* The tile at (y, x) of an image where outputs are few. */
static void narrow_tile(const direct_job *job, int image, int y, int x, int rows, int columns, const float *patch) {
    const p2r_layer *layer = job->layer;
    const geometry *g = &job->g;
    int n = patch_columns(g, columns);
    int64_t line = (int64_t)n * g->stride[1] * B, block = patch_floats(g, rows, columns), taps[POSITIONS];
    for (int p = 0; p < g->n_phases; p++) {
        int oy = p / g->step[1], ox = p % g->step[1], n_taps = taps_of(g, p);
        int end_y = min_int(y + rows, ceil_div(layer->height - oy, g->step[0]));
        int pixels = min_int(x + columns, ceil_div(layer->width - ox, g->step[1])) - x;
        patch_taps(g, p, line, n, taps);
        const float *w = job->weights + (int64_t)g->first_tap[p] * job->n_blocks * layer->channels * B;
        for (int r = y; r < end_y && pixels > 0; r++) {
            float *out = floats(job->call, layer->out) + (int64_t)image * layer->height * layer->width * B +
                         ((int64_t)(r * g->step[0] + oy) * layer->width + x * g->step[1] + ox) * B;
            product m = {patch + (int64_t)(r - y) * g->stride[0] * line, block, taps, n_taps, job->n_blocks, B, w, job->bias,
                         out, (int64_t)g->step[1] * B, 0, 0, 0, NULL, 0};
            narrow_pixels(m, pixels, layer->channels);
        }
    }
}

/* Statistics of a panel's tile. */
static void direct_stats(const direct_job *job, int panel, int image, int unit, int y, int x, int rows, int columns) {
    const p2r_layer *layer = job->layer;
    const geometry *g = &job->g;
    if (layer->stats < 0) return;
    double *partial = partial_of(&job->partial, image, unit);
    int64_t area = (int64_t)layer->height * layer->width * B;
    int top = y * g->step[0], left = x * g->step[1];
    int height = min_int(layer->height, (y + rows) * g->step[0]) - top;
    int width = min_int(layer->width, (x + columns) * g->step[1]) - left;
    for (int b = panel * PANEL; b < min_int((panel + 1) * PANEL, blocks(layer->channels)); b++) {
        const float *data = floats(job->call, layer->out) + ((int64_t)image * blocks(layer->channels) + b) * area +
                            ((int64_t)top * layer->width + left) * B;
        memset(partial + 1 + 2 * B * b, 0, sizeof(double) * 2 * B);
        stats_of_rows(data, width, height, (int64_t)layer->width * B, 0, partial, b);
    }
}

static void wide_unit(void *context, int unit, int worker) {
    const direct_job *job = context;
    const p2r_layer *layer = job->layer;
    int tiles = job->tiles_y * job->tiles_x, image = unit / tiles, tile = unit % tiles;
    int y = tile / job->tiles_x * job->rows, x = tile % job->tiles_x * job->columns, at = 0;
    int rows = min_int(job->rows, job->g.grid[0] - y), columns = min_int(job->columns, job->g.grid[1] - x);
    float *patch = job->patches + worker * job->patch;
    int64_t block = patch_floats(&job->g, rows, columns);
    for (int o = 0; o < layer->n_in; o++)
        for (int b = 0; b < blocks(layer->in[o].channels); b++, at++)
            pack_patch(job, image, o, b, y, x, rows, columns, patch + at * block);
    for (int panel = 0; panel < job->panels; panel++) {
        if (is_narrow(layer)) narrow_tile(job, image, y, x, rows, columns, patch);
        else direct_panel(job, panel, image, image + 1, y, x, rows, columns, patch, NULL);
        direct_stats(job, panel, image, tile, y, x, rows, columns);
    }
    if (layer->stats >= 0) {
        int height = min_int(layer->height, (y + rows) * job->g.step[0]) - y * job->g.step[0];
        int width = min_int(layer->width, (x + columns) * job->g.step[1]) - x * job->g.step[1];
        partial_of(&job->partial, image, tile)[0] = (double)height * width;
    }
}

static void wide_weights(void *context, int unit, int worker) { /* one block of one panel */
    const direct_job *job = context;
    const p2r_layer *layer = job->layer;
    int panel = unit / job->n_blocks, block = unit % job->n_blocks, operand = 0, channels = 0;
    int width = min_int(PANEL, blocks(layer->channels) - panel * PANEL);
    float *out = job->weights + (int64_t)panel * PANEL * B * job->n_channels * layer->kernel[0] * layer->kernel[1];
    (void)worker;
    for (; block >= blocks(layer->in[operand].channels); operand++) {
        block -= blocks(layer->in[operand].channels);
        channels += layer->in[operand].channels;
    }
    pack_weights(layer, operand, block, 1, panel * PANEL * B, width, &job->g.order, channels + block * B, job->n_channels, out);
}

static void deep_patch(void *context, int unit, int worker) { /* one block of one image */
    const direct_job *job = context;
    const geometry *g = &job->g;
    int image = unit / job->n_blocks, block = unit % job->n_blocks, operand = 0, first = 0;
    (void)worker;
    while (block - first >= blocks(job->layer->in[operand].channels)) first += blocks(job->layer->in[operand++].channels);
    pack_patch(job, image, operand, block - first, 0, 0, g->grid[0], g->grid[1],
               job->patches + image * job->patch + block * patch_floats(g, g->grid[0], g->grid[1]));
}

static void deep_unit(void *context, int unit, int worker) {
    const direct_job *job = context;
    const int *grid = job->g.grid;
    direct_panel(job, unit, 0, job->layer->batch, 0, 0, grid[0], grid[1], job->patches, job->pieces + worker * job->piece);
    for (int image = 0; image < job->layer->batch; image++)
        direct_stats(job, unit, image, 0, 0, 0, grid[0], grid[1]);
}

static int64_t direct_scratch(const p2r_layer *layer, int threads) {
    direct_job job;
    return direct_setup(layer, NULL, threads, &job);
}

/* Bytes of all its packed weights. */
static int64_t direct_packed(const p2r_layer *layer) {
    direct_job job;
    return direct_setup(layer, NULL, 1, &job) < 0 ? 0 : round_up(job.all_weights * 4);
}

static void direct_run(const p2r_layer *layer, const p2r_call *call) {
    direct_job job;
    direct_setup(layer, call, call->threads, &job);
    pack_bias(layer, job.bias);
    if (job.is_deep) {
        for (int i = 0; i < layer->batch && layer->stats >= 0; i++)
            partial_of(&job.partial, i, 0)[0] = (double)layer->height * layer->width;
        p2r_parallel(call->threads, layer->batch * job.n_blocks, deep_patch, &job);
        p2r_parallel(call->threads, job.panels, deep_unit, &job);
    } else {
        if (job.is_packed) (void)0;
        else if (is_narrow(layer)) narrow_weights(layer, &job.g, job.weights);
        else p2r_parallel(call->threads, job.panels * job.n_blocks, wide_weights, &job);
        p2r_parallel(call->threads, layer->batch * job.tiles_y * job.tiles_x, wide_unit, &job);
    }
    finish_stats(layer, call, &job.partial);
}

#endif
