/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_scalar.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum yaml_word { YAML_TRUE, YAML_FALSE, YAML_NULL, YAML_NO_NUMBER, YAML_WORD_MAX };

static const char *const yaml_words[YAML_WORD_MAX][12] = {
	[YAML_TRUE] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"},
	[YAML_FALSE] = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"},
	[YAML_NULL] = {"", "~", "null", "Null", "NULL"},
	[YAML_NO_NUMBER] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf",
		"+.INF", "-.inf", "-.Inf", "-.INF"},
};

/* YAML_WORD_MAX: it is none. */
static enum yaml_word yaml_word_of(const char *scalar)
{
	for (enum yaml_word word = 0; word < YAML_WORD_MAX; word++)
		for (size_t i = 0; i < ARRAY_SIZE(yaml_words[word]) && yaml_words[word][i]; i++)
			if (strcmp(scalar, yaml_words[word][i]) == 0)
				return word;
	return YAML_WORD_MAX;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind the digits at `at`. */
static const char *skip_digits(const char *at)
{
	while (is_digit(*at))
		at++;
	return at;
}

/* [-+]? ( .digits | digits [. digits?] ) ( [eE] [-+]? digits )? */
static bool yaml_looks_real(const char *at)
{
	const char *digits;

	at += *at == '-' || *at == '+';
	digits = at;
	at = skip_digits(at);
	if (*at == '.') {
		const char *fraction = at + 1;

		at = skip_digits(fraction);
		if (at == fraction && fraction - 1 == digits)
			return false;
	} else if (at == digits) {
		return false;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '-' || *at == '+';
		if (!is_digit(*at))
			return false;
		at = skip_digits(at);
	}
	return *at == '\0';
}

/* The base that a prefix says, with *text moved behind it: 0x 0o 0b, or an octal 0. */
static int yaml_base(const char **text)
{
	const char *at = *text;
	int base;

	if (at[0] != '0' || at[1] == '\0')
		return 10;
	switch (at[1]) {
	case 'x':
	case 'X':
		base = 16;
		break;
	case 'o':
	case 'O':
		base = 8;
		break;
	case 'b':
	case 'B':
		base = 2;
		break;
	default:
		*text = at + 1;
		return 8;
	}
	*text = at + 2;
	return base;
}

/* Underscores may stand anywhere in a number but before it; where a point leads, between digits. */
static bool yaml_is_separator(const char *scalar, const char *at)
{
	return *at == '_' && (*scalar != '.' || (is_digit(at[-1]) && is_digit(at[1])));
}

enum yaml_integer { INTEGER_NONE, INTEGER_FITS, INTEGER_UNSIGNED };

static enum yaml_integer yaml_read_integer(const char *text, int64_t *ret_value)
{
	bool negative = *text == '-';
	unsigned long long value;
	char *end;
	int base;

	text += *text == '-' || *text == '+';
	base = yaml_base(&text);
	/* strtoull would take a second sign, spaces and a second prefix. */
	if (!is_digit(*text) && !(base == 16 && strchr("abcdefABCDEF", *text) && *text))
		return INTEGER_NONE;
	if (base == 16 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return INTEGER_NONE;
	errno = 0;
	value = strtoull(text, &end, base);
	if (errno || *end)
		return INTEGER_NONE;
	if (value > (uint64_t)INT64_MAX + negative)
		return negative ? INTEGER_NONE : INTEGER_UNSIGNED;
	*ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
	return INTEGER_FITS;
}

/*
 * NULL: too big, which leaves it a string. A whole number stays one, so that 1e3 can be a port: the
 * API server's decoder sees "1000".
 */
static json_t *yaml_read_real(const char *text)
{
	double value = strtod(text, NULL);

	if (!isfinite(value))
		return NULL;
	if (value > -0x1p53 && value < 0x1p53 && (double)(int64_t)value == value)
		return json_integer((json_int_t)value);
	return json_real(value);
}

static json_t *yaml_word_value(enum yaml_word word)
{
	return word == YAML_TRUE ? json_true() : word == YAML_FALSE ? json_false() : json_null();
}

int yaml_scalar_resolve(const char *scalar, json_t **ret_value, struct err *err)
{
	enum yaml_word word = yaml_word_of(scalar);
	_free_ char *plain = NULL;
	int64_t integer;
	size_t used = 0;

	if (word == YAML_NO_NUMBER)
		return err_set(err, EINVAL, "%s is no number that JSON can hold", scalar);
	if (word != YAML_WORD_MAX) {
		*ret_value = yaml_word_value(word);
		return 0;
	}
	*ret_value = NULL;
	if (is_digit(*scalar) || *scalar == '-' || *scalar == '+' || *scalar == '.') {
		plain = mem_string(scalar);
		for (const char *at = scalar; *at; at++)
			if (!yaml_is_separator(scalar, at))
				plain[used++] = *at;
		plain[used] = '\0';
		switch (yaml_read_integer(plain, &integer)) {
		case INTEGER_FITS:
			*ret_value = json_integer(integer);
			return 0;
		case INTEGER_UNSIGNED:
			return err_set(err, EINVAL, "%s does not fit 64 bits with a sign", scalar);
		case INTEGER_NONE:
			if (yaml_looks_real(plain))
				*ret_value = yaml_read_real(plain);
		}
	}
	if (!*ret_value)
		*ret_value = json_string(scalar);
	if (!*ret_value)
		return err_set(err, EINVAL, "a scalar is no UTF-8");
	return 0;
}
