/* Threads, atomics and clocks of POSIX and Windows, as far as the pool needs them. */
#ifndef P2R_SYSTEM_H
#define P2R_SYSTEM_H

#if defined(_MSC_VER)
#include <intrin.h>
typedef struct { volatile long value; } p2r_atomic;
static inline int p2r_add(p2r_atomic *a, int n) { return (int)_InterlockedExchangeAdd(&a->value, n); }
static inline int p2r_load(p2r_atomic *a) { return (int)_InterlockedOr(&a->value, 0); }
#else
typedef struct { int value; } p2r_atomic;
static inline int p2r_add(p2r_atomic *a, int n) { return __atomic_fetch_add(&a->value, n, __ATOMIC_ACQ_REL); }
static inline int p2r_load(p2r_atomic *a) { return __atomic_load_n(&a->value, __ATOMIC_ACQUIRE); }
#endif

static inline void p2r_pause(void) {
#if defined(_MSC_VER)
    YieldProcessor();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#if defined(_WIN32)
#include <process.h>
#include <windows.h>
typedef SRWLOCK p2r_mutex;
typedef CONDITION_VARIABLE p2r_condition;
#define P2R_MUTEX_INIT SRWLOCK_INIT
#define P2R_CONDITION_INIT CONDITION_VARIABLE_INIT
static inline void p2r_lock(p2r_mutex *m) { AcquireSRWLockExclusive(m); }
static inline void p2r_unlock(p2r_mutex *m) { ReleaseSRWLockExclusive(m); }
static inline void p2r_wait(p2r_condition *c, p2r_mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static inline void p2r_broadcast(p2r_condition *c) { WakeAllConditionVariable(c); }
static inline unsigned __stdcall p2r_trampoline(void *loop) { ((void (*)(void))loop)(); return 0; }
static inline int p2r_start(void (*loop)(void)) {
    uintptr_t handle = _beginthreadex(NULL, 0, p2r_trampoline, (void *)loop, 0, NULL);
    if (handle) CloseHandle((HANDLE)handle);
    return handle != 0;
}
static inline void p2r_reset(p2r_mutex *m, p2r_condition *a, p2r_condition *b) { (void)m; (void)a; (void)b; }
static inline void p2r_at_fork(void (*child)(void)) { (void)child; }
static inline double p2r_clock(void) {
    LARGE_INTEGER now, rate;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&rate);
    return (double)now.QuadPart / (double)rate.QuadPart;
}
#else
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
typedef pthread_mutex_t p2r_mutex;
typedef pthread_cond_t p2r_condition;
#define P2R_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define P2R_CONDITION_INIT PTHREAD_COND_INITIALIZER
static inline void p2r_lock(p2r_mutex *m) { pthread_mutex_lock(m); }
static inline void p2r_unlock(p2r_mutex *m) { pthread_mutex_unlock(m); }
static inline void p2r_wait(p2r_condition *c, p2r_mutex *m) { pthread_cond_wait(c, m); }
static inline void p2r_broadcast(p2r_condition *c) { pthread_cond_broadcast(c); }
static inline void *p2r_trampoline(void *loop) { ((void (*)(void))(intptr_t)loop)(); return NULL; }
static inline int p2r_start(void (*loop)(void)) {
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all); /* signals are the host's: Ctrl-C must reach Python's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, p2r_trampoline, (void *)(intptr_t)loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) pthread_detach(thread);
    return !failed;
}
static inline void p2r_reset(p2r_mutex *m, p2r_condition *a, p2r_condition *b) {
    pthread_mutex_init(m, NULL);
    pthread_cond_init(a, NULL);
    pthread_cond_init(b, NULL);
}
static inline void p2r_at_fork(void (*child)(void)) { pthread_atfork(NULL, NULL, child); }
static inline double p2r_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#endif
#endif
