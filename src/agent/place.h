/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "model/settings.h"

/*
 * The node's place for podwire: the run directory, its mount and lock, and the kernel settings.
 * All of it is made by root in `podwire init` and taken away by `podwire uninstall`; what was
 * there before is written down in RUNDIR/found.
 */

int place_make(const char *directory, const struct settings *settings, struct err *err);
int place_remove(const char *directory, struct err *err);

/* -EBUSY where an agent runs already; *ret_lock holds the lock while it is open. */
int place_lock(const char *directory, int *ret_lock, struct err *err);
/*
 * Ends the agent that holds the lock and takes it, so that no other can start meanwhile. None
 * running is no error; *ret_lock is set where there is a lock at all.
 */
int place_stop_agent(const char *directory, int *ret_lock, struct err *err);
/* Reads the settings file; without one the defaults. The node's name defaults to the host's. */
int place_read_settings(const char *file, struct settings *ret_settings, struct err *err);
