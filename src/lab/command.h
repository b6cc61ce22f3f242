/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `podwire lab VERB ...`; argv[0] is "lab". Returns the exit status. */
int lab_command(int argc, char **argv);
