/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Texts that many objects share, such as names of nodes and keys of labels: each is held once,
 * and goes with the last of its users. A word is read like any string and never written to.
 */
char *word_take(const char *text);
/* Leaves NULL. */
void word_release(char **word);
