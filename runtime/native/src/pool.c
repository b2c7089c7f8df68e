/* One pool of worker threads a process. A worker sleeps unless some call is running; within a call it looks for the
 * next layer's work for a few microseconds before it sleeps, because layers follow each other that fast. */
#include "pix2rt.h"
#include "system.h"

typedef struct job {
    p2r_work work;
    void *context;
    int count, seats;      /* units; workers that may still join */
    p2r_atomic next, left; /* next unit; workers inside */
    int workers;           /* that have joined */
    struct job *following;
} job;

enum { MAX_WORKERS = 4096, SPINS = 2000 };

static p2r_mutex lock = P2R_MUTEX_INIT;
static p2r_condition wake = P2R_CONDITION_INIT, finished = P2R_CONDITION_INIT;
static job *jobs;          /* with free seats */
static int workers;        /* started */
static p2r_atomic calls;   /* running */
static p2r_atomic posted;  /* changes whenever a job comes */

static void work_on(job *item, int worker) {
    int unit;
    while ((unit = p2r_add(&item->next, 1)) < item->count) item->work(item->context, unit, worker);
}

static job *take_seat(int *worker) { /* with the lock held */
    job *item = jobs;
    if (!item) return NULL;
    *worker = item->workers++;
    p2r_add(&item->left, 1);
    if (--item->seats == 0) jobs = item->following;
    return item;
}

static void worker_loop(void) {
    p2r_lock(&lock);
    for (;;) {
        int worker = 0;
        job *item = take_seat(&worker);
        if (item) {
            p2r_unlock(&lock);
            work_on(item, worker);
            p2r_lock(&lock);
            if (p2r_add(&item->left, -1) == 1) p2r_broadcast(&finished);
            continue;
        }
        int seen = p2r_load(&posted);
        if (p2r_load(&calls)) {
            p2r_unlock(&lock);
            for (int i = 0; i < SPINS && p2r_load(&posted) == seen && p2r_load(&calls); i++) p2r_pause();
            p2r_lock(&lock);
        }
        if (!jobs && p2r_load(&posted) == seen) p2r_wait(&wake, &lock);
    }
}

static void start_workers(int wanted) { /* with the lock held; fewer than wanted are no error */
    while (workers < wanted && workers < MAX_WORKERS && p2r_start(worker_loop)) workers++;
}

static void leave_queue(job *item) { /* with the lock held */
    for (job **link = &jobs; *link; link = &(*link)->following)
        if (*link == item) {
            *link = item->following;
            return;
        }
}

void p2r_parallel(int threads, int count, p2r_work work, void *context) {
    if (threads > count) threads = count;
    if (threads <= 1) {
        for (int unit = 0; unit < count; unit++) work(context, unit, 0);
        return;
    }
    job item = {work, context, count, threads - 1, {0}, {0}, 1, NULL};
    p2r_lock(&lock);
    start_workers(threads - 1);
    job **last = &jobs;
    while (*last) last = &(*last)->following;
    *last = &item;
    p2r_add(&posted, 1);
    p2r_broadcast(&wake);
    p2r_unlock(&lock);
    work_on(&item, 0);
    for (int i = 0; i < SPINS && p2r_load(&item.left); i++) p2r_pause(); /* the others are about to finish, too */
    p2r_lock(&lock);
    leave_queue(&item);
    while (p2r_load(&item.left)) p2r_wait(&finished, &lock);
    p2r_unlock(&lock);
}

void p2r_enter(void) { p2r_add(&calls, 1); }
void p2r_leave(void) { p2r_add(&calls, -1); }

/* A child of fork has none of the threads. */
static void after_fork(void) {
    workers = 0;
    jobs = NULL;
    p2r_reset(&lock, &wake, &finished);
}

void p2r_prepare_pool(void) { p2r_at_fork(after_fork); }
