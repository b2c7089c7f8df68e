/* The most similar known patch for every patch that touches a hole (PatchMatch in program_holes.py).
 *
 * A product of two 3×3 patches is the sum of nine products of pixels: S(p, q) = sum over d of G(p + d, q + d). So every
 * product of two pixels is computed once and used nine times: along a row of keys, three neighbours on the diagonal are
 * added to h(p, q), and S(p, q) = h(p - row, q - row) + h(p, q) + h(p + row, q + row). Scores are never kept.
 *
 * A unit of work is a tile of queries against some rows of keys, walked from top to bottom. Of each query row it keeps
 * the h of the key row before, and the sum of two that the third completes; tiles are cut so that these fit a cache. The
 * order of all sums is that of neither tiles nor units: equal patches have equal scores, and the first of them wins. */
#ifndef P2R_PATCH_MATCH_H
#define P2R_PATCH_MATCH_H
#include "mask.h"
#include "micro.h"

enum { KEPT_BYTES = 5 << 18, MOST_SIDE = 62, MOST_KEYS = 254, PART_ROWS = 16 };
static const float LARGEST_FEATURE = 1e15f, NORM_FLOOR = 1e-8f;

typedef struct {
    int image, top, left, rows, columns; /* queries; a border of one pixel goes with them */
} tile;

typedef struct {
    float *queries, *keys, *gram, *before, *sums, *scale, *penalty, *scores;
} match_work;

typedef struct {
    row_job rows;
    int height, width, channels, n_blocks, most_parts, parts, spans, n_tiles;
    int row, side;              /* floats of a row of keys; most rows and columns of a tile */
    uint8_t *is_query;          /* [N][H][W] */
    float *energy, *scale;      /* [N][H][W]; scale: 1 / norm of a key, else 0 */
    float *best;                /* [part][span][N][H][W] */
    int32_t *index;
    tile *tiles;
    uint8_t *columns;           /* [W] */
    float *work;                /* of each worker */
    int64_t work_floats;
} match_job;

INLINE vec usable(const plane *p, const float *at) { return v_within(seen(p, at), LARGEST_FEATURE); }

/* The columns of keys of a span; their pixels begin one before and end one behind. */
INLINE int span_begin(const match_job *job, int span) { return 1 + part(job->width - 2, job->spans, span); }

static int64_t match_setup(const p2r_layer *layer, const p2r_call *call, int threads, match_job *job) {
    const p2r_operand *x = layer->in;
    int h = x->height, w = x->width;
    memset(job, 0, sizeof *job);
    job->rows = (row_job){layer, call, {0}};
    job->height = h, job->width = w, job->channels = x->channels, job->n_blocks = blocks(x->channels);
    job->spans = ceil_div(max_int(1, w - 2), MOST_KEYS);
    job->row = ceil_div(min_int(w, ceil_div(w, job->spans) + 3), B) * B;
    job->side = 4;
    while (job->side < MOST_SIDE && 8 * (job->side + 3) * (job->side + 3) * job->row <= KEPT_BYTES) job->side++;
    job->most_parts = min_int(3 * threads, max_int(1, h / PART_ROWS));
    int64_t pixels = (int64_t)layer->batch * h * w, slices = (int64_t)job->most_parts * job->spans;
    int64_t border = job->side + 2, most_tiles = (int64_t)(h / job->side + h / 2 + 2) * (w / job->side + w / 4 + 3);
    job->work_floats = round_up((border * border * job->n_blocks * B + (int64_t)job->n_blocks * B * job->row +
                                 border * job->row + 2 * B + 2 * border * border * job->row + 3 * job->row) * 4) / 4;
    int64_t bytes[] = {pixels, pixels * 4, pixels * 4, slices * pixels * 4, slices * pixels * 4,
                       layer->batch * most_tiles * (int64_t)sizeof(tile), w, job->work_floats * 4 * threads};
    void **places[] = {(void **)&job->is_query, (void **)&job->energy, (void **)&job->scale, (void **)&job->best,
                       (void **)&job->index, (void **)&job->tiles, (void **)&job->columns, (void **)&job->work};
    int64_t total = 0;
    for (int i = 0; i < 8; i++) {
        if (call) *places[i] = call->arena + layer->scratch + total;
        total += round_up(bytes[i]);
    }
    return total;
}

static match_work work_of(const match_job *job, int worker) {
    int64_t border = job->side + 2, kept = border * border * job->row;
    match_work w;
    w.queries = job->work + worker * job->work_floats;
    w.keys = w.queries + border * border * job->n_blocks * B;
    w.gram = w.keys + (int64_t)job->n_blocks * B * job->row + B; /* a vector before and one behind are read, too */
    w.before = w.gram + border * job->row + B;
    w.sums = w.before + kept;
    w.scale = w.sums + kept;
    w.penalty = w.scale + job->row;
    w.scores = w.penalty + job->row;
    return w;
}

static void energy_row(void *context, int unit, int worker) {
    const match_job *job = context;
    int image = unit / job->height, y = unit % job->height;
    float *out = job->energy + (int64_t)unit * job->width;
    (void)worker;
    for (int x = 0; x < job->width; x++) out[x] = 0;
    for (int b = 0; b < job->n_blocks; b++) {
        plane p = plane_of(job->rows.call, job->rows.layer->in, image, b);
        int lanes = min_int(B, job->channels - b * B);
        for (int x = 0; x < job->width; x++) {
            float values[B], sum = 0;
            vec v = usable(&p, p.data + ((int64_t)y * job->width + x) * B);
            v_store(values, v_mul(v, v));
            for (int i = 0; i < lanes; i++) sum += values[i];
            out[x] += sum;
        }
    }
}

/* Which pixels are queries, and the scale of those that are keys. */
static void kind_row(void *context, int unit, int worker) {
    const match_job *job = context;
    int height = job->height, width = job->width, image = unit / height, y = unit % height;
    (void)worker;
    for (int x = 0; x < width; x++) {
        int touches = 0, is_inside = y > 0 && y < height - 1 && x > 0 && x < width - 1;
        float energy = 0;
        for (int i = max_int(0, y - 1); i <= min_int(height - 1, y + 1); i++) {
            const float *mask = mask_row(&job->rows, image, i), *e = job->energy + ((int64_t)image * height + i) * width;
            float sum = 0;
            for (int j = max_int(0, x - 1); j <= min_int(width - 1, x + 1); j++) {
                touches |= mask[j] > 0;
                sum += e[j];
            }
            energy += sum;
        }
        float norm = sqrtf(energy);
        job->is_query[(int64_t)unit * width + x] = (uint8_t)touches;
        job->scale[(int64_t)unit * width + x] = touches || !is_inside ? 0.0f : 1.0f / (norm > NORM_FLOOR ? norm : NORM_FLOOR);
    }
}

/* Tiles for the queries of rows `top` … `bottom`: gaps of more than two columns divide them. */
static void cut_band(match_job *job, int image, int top, int bottom) {
    const uint8_t *queries = job->is_query + (int64_t)image * job->height * job->width;
    memset(job->columns, 0, job->width);
    for (int y = top; y < bottom; y++)
        for (int x = 0; x < job->width; x++) job->columns[x] |= queries[(int64_t)y * job->width + x];
    for (int x = 0; x < job->width; x++) {
        if (!job->columns[x]) continue;
        int end = x + 1;
        for (int i = end; i < min_int(job->width, end + 3); i++)
            if (job->columns[i]) end = i + 1;
        int n = ceil_div(end - x, job->side);
        for (int i = 0; i < n; i++) {
            int left = x + part(end - x, n, i), right = x + part(end - x, n, i + 1);
            job->tiles[job->n_tiles++] = (tile){image, top, left, bottom - top, right - left};
        }
        x = end;
    }
}

static void cut_tiles(match_job *job) {
    for (int image = 0; image < job->rows.layer->batch; image++)
        for (int y = 0; y < job->height; y++) {
            int end = y;
            while (end < job->height && memchr(job->is_query + ((int64_t)image * job->height + end) * job->width, 1,
                                               job->width)) end++;
            int n = ceil_div(end - y, job->side);
            for (int i = 0; i < n; i++) cut_band(job, image, y + part(end - y, n, i), y + part(end - y, n, i + 1));
            y = max_int(y, end);
        }
}

static void pack_queries(const match_job *job, const tile *t, float *out) {
    for (int b = 0; b < job->n_blocks; b++) {
        plane p = plane_of(job->rows.call, job->rows.layer->in, t->image, b);
        for (int y = t->top - 1; y <= t->top + t->rows; y++)
            for (int x = t->left - 1; x <= t->left + t->columns; x++, out += B) {
                int is_inside = y >= 0 && y < job->height && x >= 0 && x < job->width;
                v_store(out, is_inside ? usable(&p, p.data + ((int64_t)y * job->width + x) * B) : v_zero());
            }
    }
}

/* Whether a patch that is a key has pixels from columns `from` … `to` of row y. */
static int has_keys(const match_job *job, int image, int y, int from, int to) {
    for (int i = max_int(0, y - 1); i <= min_int(job->height - 1, y + 1); i++) {
        const float *scale = job->scale + ((int64_t)image * job->height + i) * job->width;
        for (int x = max_int(0, from - 1); x < min_int(job->width, to + 1); x++)
            if (scale[x] > 0) return 1;
    }
    return 0;
}

/* One panel of pixels of row y from column x on, for the innermost loop: [channel][panel · B]. */
static void pack_keys(const match_job *job, int image, int y, int x, int panel, float *out) {
    for (int b = 0; b < job->n_blocks; b++) {
        plane p = plane_of(job->rows.call, job->rows.layer->in, image, b);
        const float *row = p.data + (int64_t)y * job->width * B;
        for (int v = 0; v < panel; v++) {
            vec lanes[B];
            for (int i = 0; i < B; i++) {
                int at = x + v * B + i;
                lanes[i] = at < job->width ? usable(&p, row + (int64_t)at * B) : v_zero();
            }
            v_transpose(lanes);
            for (int i = 0; i < B; i++) v_store(out + ((int64_t)(b * B + i) * panel + v) * B, lanes[i]);
        }
    }
}

/* Row `r` of a tile's pixels against the row of keys that was packed, from pixel `from` to `to`. */
static void gram_row(const match_job *job, const match_work *w, const tile *t, const uint8_t *needed, int r, int from, int to) {
    static const int64_t taps[1] = {0};
    int window = t->columns + 2, vectors = job->row / B;
    for (int v = 0; v < vectors; v += PANEL) {
        int panel = min_int(PANEL, vectors - v);
        if (!needed[v / PANEL]) continue;
        product p = {w->queries + ((int64_t)r * window + from) * B, (int64_t)(t->rows + 2) * window * B, taps, 1,
                     job->n_blocks, job->channels - (job->n_blocks - 1) * B, w->keys + (int64_t)v * B * job->n_blocks * B,
                     NULL, w->gram + (int64_t)from * job->row + v * B, job->row, B, 0, 0, NULL, 0};
        multiply_pixels(p, to - from, panel);
    }
}

/* Adds up one query pixel's products along the diagonal; completes the scores of the query above it where that is one,
 * and returns the highest. `before` and `sums` are those of this pixel, `above` those of the row above. */
INLINE float add_up(const match_work *w, int row, const uint8_t *needed, const float *gram, const float *before_above,
                    const float *sums_above, float *before, float *sums, int completes) {
    vec most = v_set(-INFINITY);
    for (int x = 0; x < row; x += B) {
        if (!needed[x / (PANEL * B)]) continue;
        vec h = v_add(v_add(v_load(gram - row + x - 1), v_load(gram + x)), v_load(gram + row + x + 1));
        if (completes) {
            vec score = v_fma(v_add(v_load(sums_above + x), h), v_load(w->scale + x), v_load(w->penalty + x));
            v_store(w->scores + x, score);
            most = v_max(most, score);
        }
        v_store(sums + x, v_add(v_load(before_above + x), h));
        v_store(before + x, h);
    }
    return completes ? v_highest(most) : -INFINITY;
}

static void load_scales(const match_job *job, const match_work *w, int image, int y, int begin, int end) {
    const float *scale = job->scale + ((int64_t)image * job->height + y) * job->width;
    for (int i = 0; i < job->row; i++) { /* pixel i is column begin - 1 + i */
        int x = begin - 1 + i, is_key = x >= begin && x < end && scale[x] > 0;
        w->scale[i] = is_key ? scale[x] : 0.0f;
        w->penalty[i] = is_key ? 0.0f : -INFINITY;
    }
}

/* The queries of a tile against the keys of rows `first` … `last`, columns `begin` … `end`. */
static void match_tile(const match_job *job, const match_work *w, const tile *t, int first, int last, int begin, int end,
                       float *best, int32_t *index) {
    const uint8_t *queries = job->is_query + ((int64_t)t->image * job->height + t->top) * job->width + t->left;
    int width = job->width, row = job->row, border = job->side + 2, panels = ceil_div(row / B, PANEL);
    uint8_t needed[(MOST_KEYS + 2) / 4 + 1];
    for (int y = first - 1; y <= last; y++) {
        for (int p = 0; p < panels; p++) {
            int x = begin - 1 + p * PANEL * B, panel = min_int(PANEL, row / B - p * PANEL);
            needed[p] = (uint8_t)has_keys(job, t->image, y, x, x + panel * B);
            if (needed[p])
                pack_keys(job, t->image, y, x, panel, w->keys + (int64_t)p * PANEL * B * job->n_blocks * B);
        }
        if (y > first) load_scales(job, w, t->image, y - 1, begin, end);
        for (int r = t->rows + 1; r >= 0; r--) { /* upwards: what a row needs of the one above is not yet replaced */
            int from = t->columns + 2, to = 0;
            uint8_t counts[MOST_SIDE + 2] = {0};
            for (int i = max_int(0, r - 2); i < min_int(t->rows, r + 1); i++)
                for (int x = 0; x < t->columns; x++) counts[x + 1] |= queries[(int64_t)i * width + x];
            for (int x = 1; x <= t->columns; x++)
                if (counts[x]) from = min_int(from, x - 1), to = x + 2;
            if (from >= to) continue;
            gram_row(job, w, t, needed, r, from, to);
            for (int x = 1; x <= t->columns; x++) {
                if (!counts[x]) continue;
                int64_t here = ((int64_t)r * border + x) * row, above = r ? here - (int64_t)border * row : here;
                int64_t query = (int64_t)(r - 2) * width + x - 1;
                int completes = y > first && r > 1 && queries[query];
                float most = add_up(w, row, needed, w->gram + (int64_t)x * row, w->before + above, w->sums + above,
                                    w->before + here, w->sums + here, completes);
                if (!completes || !(most > best[query])) continue;
                for (int i = 0; i < row; i++)
                    if (needed[i / (PANEL * B)] && w->scores[i] == most) {
                        best[query] = most;
                        index[query] = (y - 1) * width + begin - 1 + i;
                        break;
                    }
            }
        }
    }
}

static void match_unit(void *context, int unit, int worker) {
    const match_job *job = context;
    int slices = job->spans * job->parts, slice = unit % slices, span = slice % job->spans, p = slice / job->spans;
    const tile *t = &job->tiles[unit / slices];
    match_work w = work_of(job, worker);
    int64_t size = (int64_t)job->rows.layer->batch * job->height * job->width;
    int64_t first = ((int64_t)t->image * job->height + t->top) * job->width + t->left;
    float *best = job->best + slice * size + first;
    int32_t *index = job->index + slice * size + first;
    for (int y = 0; y < t->rows; y++)
        for (int x = 0; x < t->columns; x++)
            best[(int64_t)y * job->width + x] = -INFINITY, index[(int64_t)y * job->width + x] = -1;
    memset(w.gram - B, 0, (char *)w.scale - (char *)(w.gram - B)); /* whatever is read without being a score is finite */
    pack_queries(job, t, w.queries);
    match_tile(job, &w, t, 1 + part(job->height - 2, job->parts, p), 1 + part(job->height - 2, job->parts, p + 1),
               span_begin(job, span), span_begin(job, span + 1), best, index);
}

/* The best of all slices; of equals the smallest index. */
static void match_row(void *context, int unit, int worker) {
    const match_job *job = context;
    int64_t size = (int64_t)job->rows.layer->batch * job->height * job->width;
    int32_t *out = (int32_t *)(job->rows.call->arena + job->rows.layer->codes_out);
    (void)worker;
    for (int64_t i = (int64_t)unit * job->width; i < (int64_t)(unit + 1) * job->width; i++) {
        float best = -INFINITY;
        out[i] = -1;
        for (int s = 0; job->is_query[i] && s < job->spans * job->parts; s++) {
            float score = job->best[s * size + i];
            int32_t index = job->index[s * size + i];
            if (index >= 0 && (score > best || (score == best && index < out[i]))) best = score, out[i] = index;
        }
    }
}

static int64_t match_scratch(const p2r_layer *layer, int threads) {
    match_job job;
    return match_setup(layer, NULL, threads, &job);
}

static void match_run(const p2r_layer *layer, const p2r_call *call) {
    match_job job;
    match_setup(layer, call, call->threads, &job);
    int rows = layer->batch * job.height;
    p2r_parallel(call->threads, rows, energy_row, &job);
    p2r_parallel(call->threads, rows, kind_row, &job);
    if (job.height > 2 && job.width > 2) cut_tiles(&job);
    job.parts = job.n_tiles ? min_int(job.most_parts, ceil_div(3 * call->threads, job.n_tiles * job.spans)) : 0;
    p2r_parallel(call->threads, job.n_tiles * job.spans * job.parts, match_unit, &job);
    p2r_parallel(call->threads, rows, match_row, &job);
}

#endif
