/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define CLOCK_NS_PER_MS 1000000ULL
#define CLOCK_NS_PER_S 1000000000ULL

/* Time since some start; never goes back, does not count while the machine sleeps. */
uint64_t clock_monotonic_ns(void);
uint64_t clock_monotonic_ms(void);
/* As bpf_ktime_get_boot_ns(): counts sleep too. */
uint64_t clock_boottime_ns(void);
