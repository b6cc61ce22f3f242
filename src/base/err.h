/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Why something failed, in words for the user.
 *
 * A function that can fail returns 0 or a negative errno and takes a `struct err *` from its
 * caller. The reason is written once, where it happened (err_set), gains context on the way up
 * (err_wrap) and is logged or printed once, by whoever stops it: the loop, the command, the reply.
 */

#define ERR_TEXT_SIZE 1024

struct err {
	int code; /* positive errno; 0: nothing happened */
	char text[ERR_TEXT_SIZE];
};

/* Writes the reason and returns -code. `err` may be NULL where nobody asks for the reason. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the reason that is there and returns -err->code. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* err_set with ": " and the description of `code` behind the text. */
int err_system(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
