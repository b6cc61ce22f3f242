/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const output_format_names[] = {
	[OUTPUT_TABLE] = "table", [OUTPUT_WIDE] = "wide", [OUTPUT_JSON] = "json",
	[OUTPUT_NAME] = "name"};
_Static_assert(ARRAY_SIZE(output_format_names) == OUTPUT_MAX, "a name for each format");

enum output_format output_format_parse(const char *name)
{
	enum output_format format;

	for (format = 0; format < OUTPUT_MAX; format++)
		if (strcmp(name, output_format_names[format]) == 0)
			break;
	return format;
}

bool output_has_colour(void)
{
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

/* What came from outside, such as a name, must not talk to the terminal. */
static char *output_safe(const char *text)
{
	struct text safe = {0};

	text_append_safe(&safe, text);
	return text_take(&safe);
}

void output_text(const char *text)
{
	_free_ char *safe = output_safe(text);

	fputs(safe, stdout);
}

char *output_place(const char *where, long long port)
{
	return strchr(where, ':') ? mem_format("[%s]:%lld", where, port)
				  : mem_format("%s:%lld", where, port);
}

void output_json(json_t *tree)
{
	json_dumpf(tree, stdout,
		JSON_INDENT(2) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
	putchar('\n');
}

static char *output_cell(const json_t *value)
{
	char *joined;
	json_t *item;
	size_t i;

	if (json_is_string(value))
		return output_safe(*json_string_value(value) ? json_string_value(value) : "-");
	if (json_is_integer(value))
		return mem_format("%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		return mem_string(json_is_true(value) ? "yes" : "no");
	if (!json_is_array(value) || !json_array_size(value))
		return mem_string("-");
	joined = mem_string("");
	json_array_foreach(value, i, item)
	{
		_free_ char *cell = output_cell(item), *longer = joined;

		joined = mem_format("%s%s%s", longer, i ? "," : "", cell);
	}
	return joined;
}

static bool output_shows(const struct output_column *column, enum output_format format)
{
	return !column->wide || format == OUTPUT_WIDE;
}

static int output_width(json_t *rows, const struct output_column *column)
{
	size_t widest = strlen(column->title), i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		_free_ char *cell = output_cell(json_object_get(row, column->key));

		if (strlen(cell) > widest)
			widest = strlen(cell);
	}
	return (int)widest;
}

static void output_line(json_t *row, const struct output_column *columns, const int *widths,
	unsigned int count, enum output_format format)
{
	unsigned int last = 0;

	for (unsigned int i = 0; i < count; i++)
		if (output_shows(&columns[i], format))
			last = i;
	for (unsigned int i = 0; i <= last; i++) {
		_free_ char *cell = row ? output_cell(json_object_get(row, columns[i].key))
					: mem_string(columns[i].title);
		int pad = widths[i] - (int)strlen(cell);

		if (!output_shows(&columns[i], format))
			continue;
		if (columns[i].right)
			printf("%*s", pad, "");
		output_text(cell);
		if (i < last)
			printf("%*s", (columns[i].right ? 0 : pad) + 2, "");
	}
	putchar('\n');
}

#define OUTPUT_COLUMNS_MAX 16

void output_rows(json_t *rows, const struct output_column *columns, unsigned int count,
	enum output_format format, const char *name_key)
{
	int widths[OUTPUT_COLUMNS_MAX] = {0};
	json_t *row;
	size_t i;

	if (format == OUTPUT_JSON) {
		output_json(rows);
		return;
	}
	if (format == OUTPUT_NAME) {
		json_array_foreach(rows, i, row)
		{
			_free_ char *cell = output_cell(json_object_get(row, name_key));

			output_text(cell);
			putchar('\n');
		}
		return;
	}
	for (unsigned int c = 0; c < count && c < OUTPUT_COLUMNS_MAX; c++)
		widths[c] = output_width(rows, &columns[c]);
	output_line(NULL, columns, widths, count, format);
	json_array_foreach(rows, i, row) output_line(row, columns, widths, count, format);
}
