/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const metric_types[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};
_Static_assert(ARRAY_SIZE(metric_types) == METRIC_TYPE_MAX, "a name for each type");

void metric_head(struct text *text, const char *name, enum metric_type type, const char *help)
{
	text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, metric_types[type]);
}

static void label_append(struct text *text, const char *name, const char *value)
{
	text_printf(text, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			text_append(text, "\\n");
		else if (*value == '"' || *value == '\\')
			text_printf(text, "\\%c", *value);
		else
			text_append_bytes(text, value, 1);
	}
	text_append(text, "\"");
}

/* 17 digits are what no number of this type loses anything in. */
static void value_append(struct text *text, double value)
{
	text_printf(text, " %.17g\n", value);
}

void metric_sample(struct text *text, const char *name, double value, ...)
{
	const char *label, *before = "{";
	va_list labels;

	text_append(text, name);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		text_append(text, before);
		label_append(text, label, va_arg(labels, const char *));
		before = ",";
	}
	va_end(labels);
	if (*before == ',')
		text_append(text, "}");
	value_append(text, value);
}

void histogram_add_linear(struct histogram *histogram, double first, double step, size_t count)
{
	for (size_t i = 0; i < count && histogram->bound_count < HISTOGRAM_BOUNDS_MAX; i++)
		histogram->bound[histogram->bound_count++] = first + step * (double)i;
}

void histogram_add_exponential(
	struct histogram *histogram, double first, double factor, size_t count)
{
	for (; count && histogram->bound_count < HISTOGRAM_BOUNDS_MAX; count--, first *= factor)
		histogram->bound[histogram->bound_count++] = first;
}

void histogram_observe(struct histogram *histogram, double value)
{
	size_t i = 0;

	while (i < histogram->bound_count && value > histogram->bound[i])
		i++;
	histogram->count[i]++;
	histogram->sum += value;
}

void metric_histogram(struct text *text, const char *name, const struct histogram *histogram,
	const char *label, const char *value)
{
	_free_ char *bucket = mem_format("%s_bucket", name), *sum = mem_format("%s_sum", name);
	_free_ char *count = mem_format("%s_count", name);
	uint64_t total = 0;

	for (size_t i = 0; i <= histogram->bound_count; i++) {
		char bound[32] = "+Inf";

		total += histogram->count[i];
		if (i < histogram->bound_count)
			snprintf(bound, sizeof(bound), "%g", histogram->bound[i]);
		metric_sample(text, bucket, (double)total, label, value, "le", bound, NULL);
	}
	metric_sample(text, sum, histogram->sum, label, value, NULL);
	metric_sample(text, count, (double)total, label, value, NULL);
}
