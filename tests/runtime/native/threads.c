/* Several host threads share the pool; convolutions of every form run on it. Compiled with -fsanitize=thread. */
#include "pix2rt.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const p2r_kernels *p2r_find(const char *name);
int32_t p2r_run(const p2r_kernels *, const p2r_layer *, int32_t, const p2r_call *, double *);

static void add_unit(void *context, int unit, int worker) {
    (void)worker;
    ((int *)context)[unit] += unit + 1;
}

static int convolve(int inputs, int outputs, int height, int width, int algorithm, int threads, float *result) {
    const p2r_kernels *kernels = p2r_find(NULL);
    int lanes = kernels->lanes, in_lanes = (inputs + lanes - 1) / lanes * lanes, out_lanes = (outputs + lanes - 1) / lanes * lanes;
    float *weights = malloc(sizeof(float) * inputs * outputs * 9);
    for (int i = 0; i < inputs * outputs * 9; i++) weights[i] = (float)(i % 7 - 3) / 9;
    int64_t in = (int64_t)in_lanes * height * width * 4, out = (int64_t)out_lanes * height * width * 4;
    p2r_operand x = {0, -1, -1, inputs, height, width, P2R_LEAKY, 0, 0};
    p2r_weights w = {weights, inputs * 9, 9, 0, 0, inputs, 0};
    p2r_layer layer;
    memset(&layer, 0, sizeof layer);
    layer.kind = P2R_CONV;
    layer.batch = layer.n_in = layer.n_weights = 1;
    layer.in = &x;
    layer.weights = &w;
    layer.out = in;
    layer.stats = in + out;
    layer.codes = layer.codes_out = -1;
    layer.packed = -1;
    layer.scratch = (in + out + out_lanes * 16 + 255) / 256 * 256;
    layer.channels = outputs;
    layer.height = height;
    layer.width = width;
    layer.algorithm = algorithm;
    for (int i = 0; i < 2; i++) layer.kernel[i] = 3, layer.stride[i] = layer.dilation[i] = layer.pad[i] = 1;
    for (int i = 0; i < 3; i++) layer.buffers[i] = -1;
    int64_t size = layer.scratch + kernels->scratch(&layer, threads);
    p2r_call call = {malloc(size), size, NULL, 0, threads};
    for (int64_t i = 0; i < in / 4; i++) ((float *)call.arena)[i] = (float)(i % 11 - 5) / 7;
    int failed = p2r_run(kernels, &layer, 1, &call, NULL) >= 0;
    memcpy(result, call.arena + layer.stats, out_lanes * 16);
    free(call.arena);
    free(weights);
    return failed;
}

static void *host(void *failures) {
    for (int round = 0; round < 40; round++) {
        int sums[100] = {0};
        p2r_enter();
        for (int repeat = 0; repeat < 5; repeat++) p2r_parallel(4, 100, add_unit, sums);
        p2r_leave();
        for (int i = 0; i < 100; i++) *(int *)failures += sums[i] != 5 * (i + 1);
    }
    for (int algorithm = P2R_DIRECT; algorithm <= P2R_WINOGRAD; algorithm++)
        for (int form = 0; form < 2; form++) { /* wide and deep */
            static const int sizes[2][4] = {{5, 20, 40, 33}, {200, 200, 5, 6}};
            float one[4096], four[4096];
            memset(one, 0, sizeof one);
            memset(four, 0, sizeof four);
            const int *s = sizes[form];
            *(int *)failures += convolve(s[0], s[1], s[2], s[3], algorithm, 1, one);
            *(int *)failures += convolve(s[0], s[1], s[2], s[3], algorithm, 4, four);
            *(int *)failures += memcmp(one, four, sizeof one) != 0;
        }
    return NULL;
}

int main(void) {
    pthread_t hosts[3];
    int failures[3] = {0};
    p2r_find(NULL);
    for (int i = 0; i < 3; i++) pthread_create(&hosts[i], NULL, host, &failures[i]);
    for (int i = 0; i < 3; i++) pthread_join(hosts[i], NULL);
    printf("%d failures\n", failures[0] + failures[1] + failures[2]);
    return failures[0] + failures[1] + failures[2] != 0;
}
