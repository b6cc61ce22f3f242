/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* One value tree for every command; this prints it as columns, JSON or names. */

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_NAME, OUTPUT_MAX };

struct output_column {
	const char *title; /* stable: scripts read it */
	const char *key; /* of the row's object; an array is joined by "," */
	bool wide; /* only with -o wide */
	bool right; /* numbers */
};

/* OUTPUT_MAX where the name is none. */
enum output_format output_format_parse(const char *name);

/* `rows` is an array of objects. `name_key` is what -o name prints. */
void output_rows(json_t *rows, const struct output_column *columns, unsigned int count,
	enum output_format format, const char *name_key);
void output_json(json_t *tree);
/* "10.0.0.1:80", "[fd00::1]:80", "shop/web:80". For free(). */
char *output_place(const char *where, long long port);
/* Prints text from outside with control characters made visible. */
void output_text(const char *text);

/* Colours only on a terminal, and not against NO_COLOR. */
bool output_has_colour(void);
