/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lines for the operator on standard error: "LEVEL message key=value ...". Whoever stops an error
 * logs it, once. Text from outside is escaped here, so that no object's name can forge a line.
 */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_MAX };

void log_set_level(enum log_level level);
/* Returns LOG_LEVEL_MAX where `name` is no level. */
enum log_level log_level_parse(const char *name);
void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
