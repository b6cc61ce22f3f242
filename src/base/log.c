/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const char *const log_level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
_Static_assert(ARRAY_SIZE(log_level_names) == LOG_LEVEL_MAX, "a name for each level");

static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_level_parse(const char *name)
{
	enum log_level level;

	for (level = 0; level < LOG_LEVEL_MAX; level++)
		if (strcmp(name, log_level_names[level]) == 0)
			break;
	return level;
}

void log_line(enum log_level level, const char *format, ...)
{
	_text_ struct text safe = {0};
	_free_ char *text = NULL;
	va_list arguments;

	if (level > log_threshold)
		return;
	va_start(arguments, format);
	text = mem_vformat(format, arguments);
	va_end(arguments);
	text_append_safe(&safe, text);
	fprintf(stderr, "%s: %s\n", log_level_names[level], text_string(&safe));
}
