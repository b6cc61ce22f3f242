/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "lab/command.h"

int command_lab(int argc, char **argv)
{
	return lab_command(argc, argv);
}
