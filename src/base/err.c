/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
	va_list arguments;

	if (!err)
		return -code;
	err->code = code;
	va_start(arguments, format);
	vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	return -code;
}

int err_system(struct err *err, int code, const char *format, ...)
{
	va_list arguments;
	size_t used;

	if (!err)
		return -code;
	err->code = code;
	va_start(arguments, format);
	vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(code));
	return -code;
}

int err_wrap(struct err *err, const char *format, ...)
{
	char context[ERR_TEXT_SIZE / 2], old[ERR_TEXT_SIZE];
	va_list arguments;

	if (!err)
		return -EIO;
	va_start(arguments, format);
	vsnprintf(context, sizeof(context), format, arguments);
	va_end(arguments);
	memcpy(old, err->text, sizeof(old));
	old[sizeof(old) - 1] = '\0';
	snprintf(err->text, sizeof(err->text), "%s: %.*s", context,
		(int)(sizeof(err->text) - strlen(context) - 3), old);
	return -err->code;
}
