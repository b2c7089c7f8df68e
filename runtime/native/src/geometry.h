/* A convolution, plain or transposed, as phases: each phase is a dense grid of outputs, `step` apart in the image, of
 * which every one reads the same taps of a patch of the input. A plain convolution has one phase. */
#ifndef P2R_GEOMETRY_H
#define P2R_GEOMETRY_H
#include "pack.h"

enum { MAX_PHASES = 64, POSITIONS = 256 };

typedef struct {
    int n_phases, first_tap[MAX_PHASES + 1]; /* taps of phase p: first_tap[p] … first_tap[p + 1] - 1 */
    int16_t dy[POSITIONS], dx[POSITIONS];    /* of a tap, from the patch's corner */
    tap_order order;                         /* where kernel positions go */
    int step[2];                             /* between outputs of a phase */
    int stride[2];                           /* between their inputs */
    int span[2], origin[2];                  /* of a patch: extent of taps, and its corner for output 0 */
    int grid[2];                             /* of the largest phase */
} geometry;

/* Taps of one axis: returns the smallest offset; `offset[k]` of those that belong to the phase, else INT16_MIN. */
static void axis_taps(const p2r_layer *layer, int axis, int phase, int *offset) {
    int stride = layer->stride[axis], pad = layer->pad[axis];
    for (int k = 0; k < layer->kernel[axis]; k++) {
        int away = phase + pad - k;
        if (layer->kind != P2R_CONV_TRANSPOSE) offset[k] = k * layer->dilation[axis];
        else offset[k] = away % stride ? INT16_MIN : away / stride;
    }
}

/* 0 where these kernels cannot do it. */
static int geometry_of(const p2r_layer *layer, geometry *g) {
    int transposed = layer->kind == P2R_CONV_TRANSPOSE, low[2] = {0, 0}, high[2] = {0, 0}, taps = 0;
    int side[2] = {layer->height, layer->width}, phases[2];
    if ((int64_t)layer->kernel[0] * layer->kernel[1] > POSITIONS) return 0;
    for (int axis = 0; axis < 2; axis++) {
        int offset[POSITIONS];
        phases[axis] = transposed ? layer->stride[axis] : 1;
        if (phases[axis] > 8 || layer->kernel[axis] * layer->dilation[axis] > INT16_MAX / 2) return 0;
        g->step[axis] = phases[axis];
        g->stride[axis] = transposed ? 1 : layer->stride[axis];
        g->grid[axis] = ceil_div(side[axis], g->step[axis]);
        int is_first = 1;
        for (int p = 0; p < phases[axis]; p++) {
            axis_taps(layer, axis, p, offset);
            for (int k = 0; k < layer->kernel[axis]; k++) {
                if (offset[k] == INT16_MIN) continue;
                low[axis] = is_first ? offset[k] : min_int(low[axis], offset[k]);
                high[axis] = is_first ? offset[k] : max_int(high[axis], offset[k]);
                is_first = 0;
            }
        }
        g->span[axis] = high[axis] - low[axis] + 1;
        g->origin[axis] = transposed ? low[axis] : -layer->pad[axis];
    }
    g->n_phases = phases[0] * phases[1];
    memset(&g->order, 0xff, sizeof g->order);
    for (int p = 0; p < g->n_phases; p++) {
        int y[POSITIONS], x[POSITIONS];
        g->first_tap[p] = taps;
        axis_taps(layer, 0, p / phases[1], y);
        axis_taps(layer, 1, p % phases[1], x);
        for (int i = 0; i < layer->kernel[0]; i++)
            for (int j = 0; j < layer->kernel[1]; j++) {
                int t = i * layer->kernel[1] + j;
                if (y[i] == INT16_MIN || x[j] == INT16_MIN) continue;
                g->order.before[t] = (int16_t)g->first_tap[p];
                g->order.tap[t] = (int16_t)(taps - g->first_tap[p]);
                g->dy[taps] = (int16_t)(y[i] - low[0]);
                g->dx[taps++] = (int16_t)(x[j] - low[1]);
            }
        for (int t = 0; t < layer->kernel[0] * layer->kernel[1]; t++)
            if (g->order.tap[t] >= 0 && g->order.before[t] == g->first_tap[p] && taps > g->first_tap[p])
                g->order.taps[t] = (int16_t)(taps - g->first_tap[p]);
    }
    g->first_tap[g->n_phases] = taps;
    return 1;
}

/* Rows or columns of a patch for `n` outputs in a row; columns lie by their remainder modulo the stride. */
INLINE int patch_rows(const geometry *g, int n) { return (n - 1) * g->stride[0] + g->span[0]; }
INLINE int patch_columns(const geometry *g, int n) { return n + (g->span[1] - 1) / g->stride[1]; }
INLINE int64_t patch_floats(const geometry *g, int rows, int columns) { /* of one block of channels */
    return (int64_t)patch_rows(g, rows) * patch_columns(g, columns) * g->stride[1] * B;
}

#endif
