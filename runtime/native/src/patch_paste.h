/* A hole filled with the matched patches, overlaps averaged (PatchPaste in program_holes.py). */
#ifndef P2R_PATCH_PASTE_H
#define P2R_PATCH_PASTE_H
#include "mask.h"

static void paste_row(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    plane p = plane_of(job->call, job->layer->in, u.image, u.block);
    const int32_t *match = (const int32_t *)(job->call->arena + job->layer->codes) + (int64_t)u.image * p.height * p.width;
    const float *mask = mask_row(job, u.image, u.y);
    (void)worker;
    for (int x = 0; x < p.width; x++) {
        vec sum = v_zero();
        int count = 0;
        for (int i = 0; mask[x] > 0 && i < 9; i++) { /* the pixel is at (dy, dx) of the patch around (y, x) */
            int dy = i / 3 - 1, dx = i % 3 - 1, query_y = u.y - dy, query_x = x - dx;
            if (query_y < 0 || query_y >= p.height || query_x < 0 || query_x >= p.width) continue;
            int key = match[(int64_t)query_y * p.width + query_x];
            if (key < 0) continue;
            int key_y = min_int(max_int(key / p.width + dy, 0), p.height - 1);
            int key_x = min_int(max_int(key % p.width + dx, 0), p.width - 1);
            sum = v_add(sum, seen(&p, p.data + ((int64_t)key_y * p.width + key_x) * B));
            count++;
        }
        const float *own = p.data + ((int64_t)u.y * p.width + x) * B;
        v_store(u.out + (int64_t)x * B, count ? v_div(sum, v_set((float)count)) : seen(&p, own));
    }
}

#endif
