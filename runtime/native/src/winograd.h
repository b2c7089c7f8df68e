/* Convolutions, plain or transposed, whose phases have at most 3×3 taps, by Winograd's F(4×4, 3×3): a tile of 6×6 inputs
 * gives 4×4 outputs with 36 products a pair of channels instead of 144, and fewer where taps are missing. With dilation
 * d, the d² grids of pixels d apart are convolutions of their own.
 *
 * Each of the 36 places of a transformed tile is one matrix product, tiles × channels by channels × outputs. Their
 * streams lie 64 bytes beyond a multiple of a large power of two, for otherwise they would fall on the same cache lines.
 * Wide: transformed weights fit the cache; a unit is a group of tiles. Deep: the transformed input is kept; a unit is
 * a few panels of outputs, whose weights are transformed a piece at a time: all of them would be four times the file. */
#ifndef P2R_WINOGRAD_H
#define P2R_WINOGRAD_H
#include "tiles.h"

enum { DEEP_PANELS = 2, DEEP_BLOCKS = 256 / B, FEW_BLOCKS = 96 / B, APART = 16, AHEAD = 4 };

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    polyphase phases;
    tap_order order;                                    /* of packed weights: as the kernel has them */
    int is_deep, n_blocks, n_out, tiles, group, groups; /* tiles: of an image; of a unit */
    int outputs, chunk, n_phases;                       /* vectors of a unit; blocks that are multiplied together */
    int64_t v_place, m_place, u_place, v_size, m_size, u_size;
    int32_t *corners;                                   /* of tiles: y, x of the first output */
    float *bias, *v, *m, *u, *packed;
    partial_stats partial;
} winograd_job;

/* Pixels from one output of a tile to the next, and how many grids of such outputs have tiles of their own. */
INLINE int apart(const p2r_layer *layer, int axis) {
    return layer->kind == P2R_CONV_TRANSPOSE ? layer->stride[axis] : layer->dilation[axis];
}
INLINE int lattices(const p2r_layer *layer, int axis) {
    int side = axis ? layer->width : layer->height;
    return layer->kind == P2R_CONV_TRANSPOSE ? 1 : min_int(layer->dilation[axis], side);
}

static int lattice_tiles(const p2r_layer *layer, int axis) { /* along one axis, of all its grids */
    int side = axis ? layer->width : layer->height, n = 0;
    for (int p = 0; p < lattices(layer, axis); p++) n += ceil_div(ceil_div(side - p, apart(layer, axis)), 4);
    return n;
}

INLINE int winograd_fits(const p2r_layer *layer) {
    polyphase phases;
    return polyphase_of(layer, &phases);
}

/* Estimated cycles of both ways, from products a cycle and what a transform or a packed weight takes. Phases have less
 * use of a transformed value: each is multiplied with fewer, and their products lie in shorter chains. */
static int winograd_pays(const p2r_layer *layer) {
    polyphase phases;
    polyphase_of(layer, &phases);
    int is_strided = phases.inputs * phases.outputs > 1;
    double c = 0, k = blocks(layer->channels), tiles = (double)lattice_tiles(layer, 0) * lattice_tiles(layer, 1);
    double pixels = (double)layer->height * layer->width / phases.outputs, taps = phases.n_taps, places = phases.n_places;
    for (int i = 0; i < layer->n_in; i++) c += blocks(layer->in[i].channels) * B;
    double passes = ceil(tiles / 128), transforms = phases.inputs * c / B * 110 + phases.outputs * k * 80;
    double packing = layer->packed < 0 ? c * k * 25 * taps / 9 : 0; /* a loop has the packed weights already */
    double direct = pixels * taps * total_channels(layer) * k / 1.6 + packing + pixels * c / B * 4;
    double products = tiles * places * c * k / (is_strided ? 1.2 : 1.3), weight = places * (is_strided ? 5 : 2.5);
    return products + tiles * transforms + c * k * weight * passes < direct;
}

static int64_t winograd_setup(const p2r_layer *layer, const p2r_call *call, int threads, winograd_job *job) {
    job->layer = layer;
    job->call = call;
    polyphase_of(layer, &job->phases);
    job->n_out = blocks(layer->channels);
    job->n_blocks = 0;
    for (int i = 0; i < layer->n_in; i++) job->n_blocks += blocks(layer->in[i].channels);
    job->tiles = lattice_tiles(layer, 0) * lattice_tiles(layer, 1);
    int64_t c = (int64_t)job->n_blocks * B, panels = ceil_div(job->n_out, PANEL);
    int positions = job->phases.n_taps;
    job->n_phases = max_int(job->phases.inputs, job->phases.outputs);
    job->is_deep = job->phases.n_places * c * panels * PANEL * B * 4 > 4 << 20 || job->tiles < 3 * ROWS;
    /* With few tiles a transformed weight is used but once or twice: then it must not leave the second cache. */
    int is_small = job->tiles <= 3 * ROWS;
    job->outputs = is_small || job->n_out < 8 * DEEP_PANELS * PANEL ? PANEL : DEEP_PANELS * PANEL;
    if (!job->is_deep) job->outputs = (int)panels * PANEL;
    int fitting = (int)((512 << 10) / (PLACES * 4 * (c + job->outputs * B))) / ROWS * ROWS;
    int many = max_int(1, job->n_phases > 1 ? DEEP_BLOCKS / 4 : is_small ? FEW_BLOCKS : DEEP_BLOCKS);
    job->chunk = job->is_deep ? min_int(job->n_blocks, many) : job->n_blocks;
    job->group = min_int(job->tiles, job->is_deep ? 128 : max_int(2 * ROWS, fitting));
    job->groups = ceil_div(job->tiles, job->group);
    job->group = ceil_div(job->tiles, job->groups);
    job->v_place = job->group * c + APART;
    job->m_place = (int64_t)job->group * job->outputs * B + APART;
    job->u_place = (int64_t)job->chunk * B * job->outputs * B + APART;
    job->v_size = PLACES * job->v_place;
    job->m_size = PLACES * job->m_place;
    job->u_size = PLACES * job->u_place;
    for (int t = 0; t < positions; t++) job->order.before[t] = 0, job->order.tap[t] = (int16_t)t, job->order.taps[t] = (int16_t)positions;
    int64_t bytes[] = {(int64_t)job->tiles * 8, job->n_out * B * 4,
                       job->v_size * 4 * (job->is_deep ? job->phases.inputs : threads), job->m_size * 4 * threads * job->phases.outputs,
                       job->u_size * 4 * job->n_phases * (job->is_deep ? threads : 1),
                       positions * B * PANEL * B * 4 * (int64_t)threads};
    void **places[] = {(void **)&job->corners, (void **)&job->bias, (void **)&job->v, (void **)&job->m,
                       (void **)&job->u, (void **)&job->packed};
    int64_t total = 0;
    for (int i = 0; i < 6; i++) {
        if (call) *places[i] = call->arena + layer->scratch + total;
        total += round_up(bytes[i]);
    }
    int units = job->groups * job->phases.outputs;
    if (call) job->partial = (partial_stats){(double *)(call->arena + layer->scratch + total), units, job->n_out * B};
    return total + partial_bytes(layer, units);
}

static void list_corners(const p2r_layer *layer, int32_t *out) {
    int down = apart(layer, 0), right = apart(layer, 1);
    for (int py = 0; py < lattices(layer, 0); py++)
        for (int y = py; y < layer->height; y += 4 * down)
            for (int px = 0; px < lattices(layer, 1); px++)
                for (int x = px; x < layer->width; x += 4 * right, out += 2) out[0] = y, out[1] = x;
}

/* Transforms one block of channels of `count` tiles from tile `first` on, in the order of the products. */
static void transform_block(const winograd_job *job, int image, int phase, int block, int first, int count, float *v) {
    const p2r_layer *layer = job->layer;
    const polyphase *f = &job->phases;
    int operand = 0, b = block, groups = ceil_div(count, ROWS), transposed = layer->kind == P2R_CONV_TRANSPOSE;
    while (b >= blocks(layer->in[operand].channels)) b -= blocks(layer->in[operand++].channels);
    plane p = plane_of(job->call, &layer->in[operand], image, b);
    int start = block / job->chunk * job->chunk, chunk = min_int(job->chunk, job->n_blocks - start), begin[2], step[2];
    int used[2];
    for (int axis = 0; axis < 2; axis++) {
        begin[axis] = phase_of(f, axis, phase)->begin;
        step[axis] = transposed ? 1 : layer->stride[axis] * layer->dilation[axis];
        used[axis] = transposed ? all_places(f, axis) : phase_of(f, axis, phase)->places;
    }
    v += (int64_t)start * count * B;
    for (int g = 0; g < groups; g++) {
        int from = part(count, groups, g), rows = part(count, groups, g + 1) - from;
        float *out = v + ((int64_t)from * chunk + (int64_t)(block - start) * rows) * B;
        for (int t = 0; t < rows; t++) {
            const int32_t *corner = job->corners + 2 * (first + from + t);
            int at[2];
            for (int axis = 0; axis < 2; axis++)
                at[axis] = begin[axis] + (transposed ? corner[axis] / layer->stride[axis] : corner[axis] * layer->stride[axis]);
            input_tile(&p, layer->is_reflected, at[0], at[1], step[0], step[1], used[0], used[1], out + t * B, job->v_place);
        }
    }
}

/* Transforms weights of blocks `from` … `to` for `panel` vectors from block `k` of outputs on, for all phases. */
static void transform_weights(const winograd_job *job, int from, int to, int k, int panel, float *packed, float *u) {
    const p2r_layer *layer = job->layer;
    int operand = 0, first = 0;
    for (int block = from; block < to; block++) {
        while (block - first >= blocks(layer->in[operand].channels)) first += blocks(layer->in[operand++].channels);
        int channels = min_int(B, layer->in[operand].channels - (block - first) * B);
        pack_weights(layer, operand, block - first, 1, k * B, panel, &job->order, 0, channels, packed);
        for (int phase = 0; phase < job->n_phases; phase++) {
            const axis_phase *rows = phase_of(&job->phases, 0, phase), *columns = phase_of(&job->phases, 1, phase);
            weight_tile transform = weight_tiles[outer_weights(rows->places)][outer_weights(columns->places)];
            float *out = u + phase * job->u_size;
            for (int c = 0; c < channels; c++)
                for (int v = 0; v < panel; v++, out += B)
                    transform(rows, columns, layer->kernel[1], packed + (c * panel + v) * B, channels * panel * B, out,
                              job->u_place);
            for (int c = channels; c < B; c++)
                for (int v = 0; v < panel; v++, out += B)
                    for (int i = 0; i < PLACES; i++) v_store(out + i * job->u_place, v_zero());
        }
        u += B * panel * B;
    }
}

/* Whether an earlier phase left sums at a place. */
INLINE int is_begun(const polyphase *p, int phase, int place) {
    int begun = 0;
    for (int earlier = 0; earlier < phase && p->inputs > 1; earlier++) begun |= has_place(p, earlier, place);
    return begun;
}

/* The 36 products for `count` tiles: blocks `from` … `to` of the input, panels of `outputs` vectors. */
static void multiply_places(const winograd_job *job, int phase, int count, int from, int to, int outputs, const float *v,
                            const float *u, float *m) {
    static const int64_t taps[1] = {0};
    int groups = ceil_div(count, ROWS);
    for (int place = 0; place < PLACES; place++) {
        if (!has_place(&job->phases, phase, place)) continue;
        int adds = from > 0 || is_begun(&job->phases, phase, place);
        for (int k = 0; k < outputs; k += PANEL) {
            int panel = min_int(PANEL, outputs - k);
            for (int g = 0; g < groups; g++) {
                int t = part(count, groups, g), rows = part(count, groups, g + 1) - t;
                const float *a = v + place * job->v_place + ((int64_t)from * count + (int64_t)t * (to - from)) * B;
                product p = {a, (int64_t)rows * B, taps, 1, to - from, B,
                             u + place * job->u_place + (int64_t)k * (to - from) * B * B, NULL,
                             m + place * job->m_place + ((int64_t)t * job->outputs + k) * B,
                             (int64_t)job->outputs * B, B, adds, (int64_t)AHEAD * rows * B, NULL, 0};
                multiply_forms[rows - 1][panel - 1](&p);
            }
        }
    }
}

/* Outputs of a phase, of `count` tiles and `outputs` vectors from block `k` on. */
static void put_tiles(const winograd_job *job, int image, int group, int phase, int first, int count, int k, int outputs,
                      const float *m) {
    const p2r_layer *layer = job->layer;
    const polyphase *f = &job->phases;
    int64_t area = (int64_t)layer->height * layer->width * B;
    int is_whole = f->outputs == 1, down = apart(layer, 0), right = apart(layer, 1);
    int py = is_whole ? 0 : phase / f->sides[1], px = is_whole ? 0 : phase % f->sides[1];
    int rows = is_whole ? all_places(f, 0) : phase_of(f, 0, phase)->places;
    int columns = is_whole ? all_places(f, 1) : phase_of(f, 1, phase)->places;
    for (int o = 0; o < outputs; o++) {
        float *plane = floats(job->call, layer->out) + ((int64_t)image * job->n_out + k + o) * area;
        run_stats stats = {v_zero(), v_zero(), v_zero(), 0};
        vec bias = v_load(job->bias + (k + o) * B);
        for (int t = 0; t < count; t++) {
            int y = job->corners[2 * (first + t)] + py, x = job->corners[2 * (first + t) + 1] + px;
            const float *at = m + ((int64_t)t * job->outputs + o) * B;
            if (y >= layer->height || x >= layer->width) continue;
            if ((rows & columns) == ALL_PLACES)
                output_tile(layer, at, job->m_place, ALL_PLACES, ALL_PLACES, bias, plane, y, x, down, right, &stats);
            else output_tile(layer, at, job->m_place, rows, columns, bias, plane, y, x, down, right, &stats);
        }
        if (layer->stats < 0) continue;
        double *partial = partial_of(&job->partial, image, group * f->outputs + (is_whole ? 0 : phase));
        memset(partial + 1 + 2 * B * (k + o), 0, sizeof(double) * 2 * B);
        if (stats.count) partial_add(partial, k + o, 0, &stats);
    }
}

static void count_pixels(const winograd_job *job) { /* of every unit, for the statistics */
    const p2r_layer *layer = job->layer;
    const polyphase *f = &job->phases;
    for (int image = 0; image < layer->batch && layer->stats >= 0; image++)
        for (int unit = 0; unit < job->groups * f->outputs; unit++) {
            int g = unit / f->outputs, py = unit % f->outputs / f->sides[1], px = unit % f->outputs % f->sides[1];
            double n = 0;
            for (int t = part(job->tiles, job->groups, g); t < part(job->tiles, job->groups, g + 1); t++) {
                int below = layer->height - job->corners[2 * t] - py, right = layer->width - job->corners[2 * t + 1] - px;
                n += (double)min_int(4, ceil_div(max_int(0, below), apart(layer, 0))) *
                     min_int(4, ceil_div(max_int(0, right), apart(layer, 1)));
            }
            partial_of(&job->partial, image, unit)[0] = n;
        }
}

static void winograd_wide_unit(void *context, int unit, int worker) {
    const winograd_job *job = context;
    int image = unit / job->groups, g = unit % job->groups, first = part(job->tiles, job->groups, g);
    int count = part(job->tiles, job->groups, g + 1) - first;
    float *v = job->v + worker * job->v_size, *m = job->m + worker * job->m_size * job->phases.outputs;
    for (int in = 0; in < job->phases.inputs; in++) {
        for (int b = 0; b < job->n_blocks; b++) transform_block(job, image, in, b, first, count, v);
        for (int out = 0; out < job->phases.outputs; out++) {
            multiply_places(job, in + out, count, 0, job->n_blocks, job->n_out, v, job->u + (in + out) * job->u_size,
                            m + out * job->m_size);
            if (in == job->phases.inputs - 1) put_tiles(job, image, g, out, first, count, 0, job->n_out, m + out * job->m_size);
        }
    }
}

static void winograd_wide_weights(void *context, int unit, int worker) { /* one block of one panel */
    const winograd_job *job = context;
    int k = unit / job->n_blocks * PANEL, b = unit % job->n_blocks, panel = min_int(PANEL, job->n_out - k);
    transform_weights(job, b, b + 1, k, panel, job->packed + worker * job->phases.n_taps * B * PANEL * B,
                      job->u + ((int64_t)k * job->n_blocks + (int64_t)b * panel) * B * B);
}

typedef struct {
    const winograd_job *job;
    int image, group, first, count;
} winograd_pass;

static void winograd_deep_input(void *context, int unit, int worker) { /* one block of one phase */
    const winograd_pass *pass = context;
    const winograd_job *job = pass->job;
    int phase = unit / job->n_blocks, block = unit % job->n_blocks;
    (void)worker;
    transform_block(job, pass->image, phase, block, pass->first, pass->count, job->v + phase * job->v_size);
}

static void winograd_deep_unit(void *context, int unit, int worker) { /* some panels */
    const winograd_pass *pass = context;
    const winograd_job *job = pass->job;
    int k = unit * job->outputs, outputs = min_int(job->outputs, job->n_out - k);
    float *m = job->m + worker * job->m_size * job->phases.outputs, *u = job->u + worker * job->u_size * job->n_phases;
    float *packed = job->packed + worker * job->phases.n_taps * B * PANEL * B;
    for (int from = 0; from < job->n_blocks; from += job->chunk) {
        int to = min_int(job->n_blocks, from + job->chunk);
        for (int o = 0; o < outputs; o += PANEL)
            transform_weights(job, from, to, k + o, min_int(PANEL, outputs - o), packed, u + (int64_t)o * (to - from) * B * B);
        for (int in = 0; in < job->phases.inputs; in++)
            for (int out = 0; out < job->phases.outputs; out++)
                multiply_places(job, in + out, pass->count, from, to, outputs, job->v + in * job->v_size,
                                u + (in + out) * job->u_size, m + out * job->m_size);
    }
    for (int out = 0; out < job->phases.outputs; out++)
        put_tiles(job, pass->image, pass->group, out, pass->first, pass->count, k, outputs, m + out * job->m_size);
}

static int64_t winograd_scratch(const p2r_layer *layer, int threads) {
    winograd_job job;
    return winograd_setup(layer, NULL, threads, &job);
}

static void winograd_run(const p2r_layer *layer, const p2r_call *call) {
    winograd_job job;
    winograd_setup(layer, call, call->threads, &job);
    list_corners(layer, job.corners);
    pack_bias(layer, job.bias);
    count_pixels(&job);
    if (!job.is_deep) {
        p2r_parallel(call->threads, ceil_div(job.n_out, PANEL) * job.n_blocks, winograd_wide_weights, &job);
        p2r_parallel(call->threads, layer->batch * job.groups, winograd_wide_unit, &job);
    }
    for (int unit = 0; job.is_deep && unit < layer->batch * job.groups; unit++) {
        int g = unit % job.groups, first = part(job.tiles, job.groups, g);
        winograd_pass pass = {&job, unit / job.groups, g, first, part(job.tiles, job.groups, g + 1) - first};
        p2r_parallel(call->threads, job.phases.inputs * job.n_blocks, winograd_deep_input, &pass);
        p2r_parallel(call->threads, ceil_div(job.n_out, job.outputs), winograd_deep_unit, &pass);
    }
    finish_stats(layer, call, &job.partial);
}

#endif
