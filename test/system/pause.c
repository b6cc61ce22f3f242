/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a pod's namespaces in test_containerd.py: waits, until somebody kills it. */
#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
