/* SPDX-License-Identifier: Apache-2.0 */
/* Records of neighbouring releases: what one has written the other reads. */
#include "agent/attachments.h"

#include "base/log.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MORE 64 /* what a newer release has appended */

struct scene {
	char directory[64];
	struct attachments attachments;
};

static struct attachment record_make(void)
{
	return (struct attachment){.magic = ATTACHMENT_MAGIC,
		.size = sizeof(struct attachment),
		.ifindex = 7,
		.address_count = 1,
		.container = "c1",
		.ifname = "eth0",
		.labels = "app=a\n"};
}

/* As another release would: these bytes of the record, and `more` behind it. */
static void record_write(const struct scene *scene, struct attachment record, size_t size, size_t more)
{
	_free_ char *path = mem_format("%s/c1:eth0", scene->directory);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char tail[MORE];

	memset(tail, 'x', sizeof(tail));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &record, size), size);
	assert_int_equal(write(fd, tail, more), more);
}

static size_t records_read(struct scene *scene)
{
	attachments_clear(&scene->attachments);
	assert_int_equal(attachments_read(scene->directory, &scene->attachments, NULL), 0);
	return scene->attachments.count;
}

static int scene_open(void **state)
{
	struct scene *scene = mem_new(1, sizeof(*scene));

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(scene->directory, sizeof(scene->directory), "/tmp/podwire-unit-XXXXXX");
	*state = scene;
	return mkdtemp(scene->directory) ? 0 : -1;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;
	_free_ char *path = mem_format("%s/c1:eth0", scene->directory);

	unlink(path);
	attachments_clear(&scene->attachments);
	rmdir(scene->directory);
	free(scene);
	return 0;
}

static void test_own_record(void **state)
{
	struct scene *scene = *state;
	struct attachment record = record_make();

	assert_int_equal(attachments_add(&scene->attachments, scene->directory, &record, NULL), 0);
	assert_int_equal(records_read(scene), 1);
	assert_memory_equal(&scene->attachments.item[0], &record, sizeof(record));
}

static void test_newer_record(void **state)
{
	struct scene *scene = *state;
	struct attachment record = record_make();

	record.size += MORE;
	record_write(scene, record, sizeof(record), MORE);
	assert_int_equal(records_read(scene), 1);
	assert_memory_equal(&scene->attachments.item[0], &record, sizeof(record));
}

/* A release that knows more than the first one reads the first one's with zeros behind it. */
static void test_oldest_record(void **state)
{
	struct scene *scene = *state;
	struct attachment record = record_make(), wanted = {0};

	record.size = ATTACHMENT_SIZE_FIRST;
	memcpy(&wanted, &record, ATTACHMENT_SIZE_FIRST);
	record_write(scene, record, ATTACHMENT_SIZE_FIRST, 0);
	assert_int_equal(records_read(scene), 1);
	assert_memory_equal(&scene->attachments.item[0], &wanted, sizeof(wanted));
}

static void test_refused(void **state)
{
	struct scene *scene = *state;
	struct attachment record = record_make();

	record_write(scene, record, sizeof(record), 0);
	assert_int_equal(records_read(scene), 1);
	record_write(scene, record, sizeof(record) - 1, 0); /* cut off */
	assert_int_equal(records_read(scene), 0);
	record.size = ATTACHMENT_SIZE_FIRST - 1;
	record_write(scene, record, record.size, 0);
	assert_int_equal(records_read(scene), 0);
	record = record_make();
	record.magic++;
	record_write(scene, record, sizeof(record), 0);
	assert_int_equal(records_read(scene), 0);
	record = record_make();
	record.address_count = ATTACHMENT_ADDRESSES + 1;
	record_write(scene, record, sizeof(record), 0);
	assert_int_equal(records_read(scene), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_record, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_newer_record, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_oldest_record, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_refused, scene_open, scene_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
