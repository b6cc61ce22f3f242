// SPDX-License-Identifier: Apache-2.0
#include "linux/migrate.h"

#include "base/log.h"
#include "check.h"
#include "root.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BPF "/run"
#define OWN BPF "/aaaaaaaaaaaa"
#define OTHER BPF "/bbbbbbbbbbbb"
#define FLOWS 60000

struct key {
	uint32_t id[2]; /* the second member is the newer release's */
};

struct value {
	uint64_t text[2];
};

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	return mount("bpf", BPF, "bpf", 0, NULL) == 0 && mkdir(OWN, 0700) == 0 &&
			       mkdir(OTHER, 0700) == 0
		       ? 0
		       : -1;
}

static int teardown(void **state)
{
	(void)state;
	return umount(BPF);
}

/* A table of `words` 32-bit words of key and 64-bit words of value. */
static int table_make(const char *directory, const char *name, int type, unsigned int words)
{
	_free_ char *path = mem_format("%s/%s", directory, name);
	LIBBPF_OPTS(bpf_map_create_opts, options);
	int fd = bpf_map_create((enum bpf_map_type)type, name, words * (__u32)sizeof(uint32_t),
		words * (__u32)sizeof(uint64_t), 65536, &options);

	assert_true(fd >= 0);
	assert_return_code(bpf_obj_pin(fd, path), errno);
	return fd;
}

static unsigned int table_id(const char *directory, const char *name)
{
	_free_ char *path = mem_format("%s/%s", directory, name);
	_close_ int fd = bpf_obj_get(path);
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);

	if (fd < 0)
		return 0;
	assert_return_code(bpf_obj_get_info_by_fd(fd, &info, &size), errno);
	return info.id;
}

static void row_set(int fd, uint32_t id, uint32_t more, uint64_t text, uint64_t more_text)
{
	struct key key = {{id, more}};
	struct value value = {{text, more_text}};

	assert_return_code(bpf_map_update_elem(fd, &key, &value, BPF_ANY), errno);
}

static bool row_is(int fd, uint32_t id, uint64_t text, uint64_t more_text)
{
	struct value value = {0};
	struct key key = {{id}};

	return bpf_map_lookup_elem(fd, &key, &value) == 0 && value.text[0] == text &&
	       value.text[1] == more_text;
}

static void share(const char *name, __u32 type, __u32 words, __u32 entries)
{
	struct bpf_map_info form = {.type = type,
		.key_size = words * (__u32)sizeof(uint32_t),
		.value_size = words * (__u32)sizeof(uint64_t),
		.max_entries = entries};
	struct err err = {0};

	snprintf(form.name, sizeof(form.name), "%s", name);
	if (migrate_share(BPF, OWN, &form, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_same_form_is_shared(void **state)
{
	_close_ int flow = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 1);

	(void)state;
	(void)flow;
	share("pw_flow", BPF_MAP_TYPE_LRU_HASH, 1, 4096); /* whatever its size */
	assert_true(table_id(OWN, "pw_flow"));
	assert_int_equal(table_id(OWN, "pw_flow"), table_id(OTHER, "pw_flow"));
	share("pw_flow", BPF_MAP_TYPE_LRU_HASH, 1, 4096); /* and again, after a kill */
	assert_int_equal(table_id(OWN, "pw_flow"), table_id(OTHER, "pw_flow"));
}

static void test_what_is_not_shared(void **state)
{
	_close_ int pod = table_make(OTHER, "pw_pod", BPF_MAP_TYPE_HASH, 1);
	_close_ int flow = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 2);
	_close_ int count = table_make(OTHER, "pw_count", BPF_MAP_TYPE_ARRAY, 1);

	(void)state;
	(void)pod, (void)flow, (void)count;
	share("pw_pod", BPF_MAP_TYPE_HASH, 1, 65536); /* compile owns it */
	share("pw_flow", BPF_MAP_TYPE_LRU_HASH, 1, 65536); /* another form */
	share("pw_flow", BPF_MAP_TYPE_HASH, 2, 65536); /* another type */
	share("pw_count", BPF_MAP_TYPE_ARRAY, 1, 4096); /* an array's size is its form */
	share("pw_drop", BPF_MAP_TYPE_LRU_HASH, 1, 65536); /* there is none */
	assert_false(table_id(OWN, "pw_pod") || table_id(OWN, "pw_flow") ||
		     table_id(OWN, "pw_count") || table_id(OWN, "pw_drop"));
	share("pw_count", BPF_MAP_TYPE_ARRAY, 1, 65536);
	assert_true(table_id(OWN, "pw_count"));
}

static void copy(void)
{
	struct err err = {0};

	if (migrate_copy(BPF, OWN, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_newer_takes_over(void **state)
{
	_close_ int old = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 1);
	_close_ int new = table_make(OWN, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 2);

	(void)state;
	row_set(old, 1, 0, 11, 0);
	row_set(old, 2, 0, 12, 0);
	row_set(new, 2, 0, 99, 98); /* the new programs know better */
	copy();
	assert_true(row_is(new, 1, 11, 0));
	assert_true(row_is(new, 2, 99, 98));
	assert_true(row_is(old, 2, 12, 0));
}

static void test_older_takes_over(void **state)
{
	_close_ int old = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 2);
	_close_ int new = table_make(OWN, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 1);

	(void)state;
	row_set(old, 1, 0, 11, 12);
	row_set(old, 2, 7, 21, 22); /* of a kind that the older one does not know */
	copy();
	assert_true(row_is(new, 1, 11, 0));
	assert_false(row_is(new, 2, 21, 0));
}

static void test_all_rows(void **state)
{
	_close_ int old = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_HASH, 1);
	_close_ int new = table_make(OWN, "pw_flow", BPF_MAP_TYPE_HASH, 2);

	(void)state;
	for (uint32_t id = 0; id < FLOWS; id++)
		row_set(old, id, 0, id, 0);
	copy();
	for (uint32_t id = 0; id < FLOWS; id++)
		if (!row_is(new, id, id, 0))
			fail_msg("row %u", id);
}

/* The type of a value of `words` 64-bit words, without which the kernel makes no such table. */
static int socket_table_make(const char *directory, unsigned int words)
{
	_free_ char *path = mem_format("%s/pw_socket", directory);
	struct btf *types = btf__new_empty();
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	int number = btf__add_int(types, "number", 4, BTF_INT_SIGNED);
	int word = btf__add_int(types, "word", 8, 0), fd;

	options.btf_key_type_id = (__u32)number;
	options.btf_value_type_id = (__u32)btf__add_array(types, number, word, words);
	assert_return_code(btf__load_into_kernel(types), errno);
	options.btf_fd = (__u32)btf__fd(types);
	fd = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "pw_socket", 4, words * 8, 0, &options);
	btf__free(types);
	assert_return_code(fd, errno);
	assert_return_code(bpf_obj_pin(fd, path), errno);
	return fd;
}

static void test_rows_in_sockets_stay_there(void **state)
{
	_close_ int old = socket_table_make(OTHER, 1), new = socket_table_make(OWN, 2);

	(void)state;
	(void)old, (void)new;
	copy();
}

static void test_compiled_is_not_copied(void **state)
{
	_close_ int old = table_make(OTHER, "pw_pod", BPF_MAP_TYPE_HASH, 1);
	_close_ int new = table_make(OWN, "pw_pod", BPF_MAP_TYPE_HASH, 2);

	(void)state;
	row_set(old, 1, 0, 11, 0);
	copy();
	assert_false(row_is(new, 1, 11, 0));
}

static void test_finish(void **state)
{
	_close_ int old = table_make(OTHER, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 1);
	_close_ int new = table_make(OWN, "pw_flow", BPF_MAP_TYPE_LRU_HASH, 2);
	struct err err = {0};

	(void)state;
	assert_return_code(mkdir(BPF "/links", 0700), errno);
	assert_return_code(mkdir(BPF "/somebody-else", 0700), errno);
	row_set(old, 1, 0, 11, 0);
	for (int i = 0; i < 2; i++) {
		if (migrate_finish(BPF, OWN, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(row_is(new, 1, 11, 0));
		assert_int_not_equal(access(OTHER, F_OK), 0);
		assert_int_equal(access(OWN "/pw_flow", F_OK), 0);
		assert_int_equal(access(BPF "/links", F_OK), 0);
		assert_int_equal(access(BPF "/somebody-else", F_OK), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_form_is_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rows_in_sockets_stay_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compiled_is_not_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finish, setup, teardown),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
