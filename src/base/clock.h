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
/* Since 1970, as others' clocks say it; somebody may set it. */
uint64_t clock_realtime_ns(void);

#define CLOCK_TEXT_SIZE 40
/* RFC 3339 in UTC, as Kubernetes writes it: "2026-01-31T12:00:00.123456789Z". Returns `text`. */
const char *clock_format(uint64_t realtime_ns, char text[CLOCK_TEXT_SIZE]);
