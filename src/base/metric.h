/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

/* Metrics as text, in Prometheus' exposition format 0.0.4. */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_TYPE_MAX };

/* The two lines before a metric's samples. */
void metric_head(struct text *text, const char *name, enum metric_type type, const char *help);
/* One sample. Labels follow as pairs of name and value, then NULL. */
void metric_sample(struct text *text, const char *name, double value, ...)
	__attribute__((sentinel));

#define HISTOGRAM_BOUNDS_MAX 80

struct histogram {
	double bound[HISTOGRAM_BOUNDS_MAX]; /* rising; "up to and with" */
	size_t bound_count;
	uint64_t count[HISTOGRAM_BOUNDS_MAX + 1]; /* the last: beyond all bounds */
	double sum;
};

/* Appends bounds: `first`, and `count` in all, each by `step` more or `factor` times the one before. */
void histogram_add_linear(struct histogram *histogram, double first, double step, size_t count);
void histogram_add_exponential(
	struct histogram *histogram, double first, double factor, size_t count);
void histogram_observe(struct histogram *histogram, double value);
/* All its samples, with one label more. */
void metric_histogram(struct text *text, const char *name, const struct histogram *histogram,
	const char *label, const char *value);
