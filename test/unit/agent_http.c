/* SPDX-License-Identifier: Apache-2.0 */
/* The server with real connections, over loopback. */
#include "agent/http.h"

#include "check.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REF_LISTEN, REF_CONNECTION, REF_MAX };

#define BIG (4 << 20)
#define SLOW_MS 300

struct scene {
	struct loop *loop;
	struct http *http;
	struct http_listener *listener;
	struct addr addr;
	uint16_t port;
};

static void serve(void *context, const char *path, struct http_answer *answer)
{
	(void)context;
	if (strcmp(path, "/big") == 0) {
		_free_ char *big = mem_new(BIG, 1);

		memset(big, 'x', BIG);
		text_append_bytes(&answer->body, big, BIG);
		return;
	}
	if (strcmp(path, "/bad") == 0)
		answer->status = 503;
	answer->header = "X-Test";
	text_append(&answer->value, "yes");
	text_append(&answer->body, path);
}

/* A port that nobody has, of the family whose turn it is. */
static int scene_open(void **state, const char *address, unsigned int connection_ms)
{
	const struct http_options options = {.listen_ref = REF_LISTEN,
		.connection_ref = REF_CONNECTION,
		.connection_ms = connection_ms};
	static const loop_function functions[REF_MAX] = {http_listen_event, http_connection_event};
	struct scene *scene = mem_new(1, sizeof(*scene));

	assert_int_equal(addr_parse(address, &scene->addr), 0);
	assert_int_equal(loop_open(&scene->loop, functions, REF_MAX, NULL, NULL), 0);
	assert_int_equal(http_open(scene->loop, &options, &scene->http, NULL), 0);
	for (scene->port = 20000 + (uint16_t)(getpid() % 10000); !scene->listener; scene->port++)
		http_listen(scene->http, &scene->addr, scene->port, serve, NULL,
			&scene->listener, NULL);
	scene->port--;
	*state = scene;
	return 0;
}

static int scene_open_ipv4(void **state)
{
	return scene_open(state, "127.0.0.1", 0);
}

static int scene_open_ipv6(void **state)
{
	return scene_open(state, "::1", 0);
}

static int scene_open_short(void **state)
{
	return scene_open(state, "127.0.0.1", SLOW_MS);
}

static int scene_close(void **state)
{
	struct scene *scene = *state;

	http_close(&scene->http);
	loop_close(&scene->loop);
	free(scene);
	return 0;
}

static int client_open(const struct scene *scene)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(scene->port),
		.sin_addr.s_addr = scene->addr.words[3]};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(scene->port)};
	bool is_ipv4 = addr_family(&scene->addr) == FAMILY_IPV4;
	int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	memcpy(&ipv6.sin6_addr, &scene->addr, sizeof(ipv6.sin6_addr));
	r = is_ipv4 ? connect(fd, (struct sockaddr *)&ipv4, sizeof(ipv4))
		    : connect(fd, (struct sockaddr *)&ipv6, sizeof(ipv6));
	if (r < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void turn(const struct scene *scene)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_turn(scene->loop, 0, NULL), 0);
}

/* All that comes until the server closes; -1: it has reset the connection. */
static int client_read(const struct scene *scene, int fd, struct text *text)
{
	for (int idle = 0; idle < 1000;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		char buffer[65536];
		ssize_t n;

		turn(scene);
		if (poll(&wait, 1, 1) == 0) {
			idle++;
			continue;
		}
		n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -1 : 0;
		text_append_bytes(text, buffer, (size_t)n);
	}
	fail_msg("the server does not close");
	return -1;
}

static void client_send(int fd, const char *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

struct request {
	const char *bytes;
	size_t size; /* 0: all of the text */
	const char *status; /* NULL: it closes without an answer */
	const char *body; /* NULL: whatever the library says to people */
};

static const struct request requests[] = {
	{"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 0, "200 OK", "/healthz"},
	{"GET / HTTP/1.0\r\n\r\n", 0, "200 OK", "/"},
	{"GET / HTTP/1.0\n\n", 0, "200 OK", "/"},
	{"\r\n\r\nGET /a HTTP/1.1\r\n\r\n", 0, "200 OK", "/a"},
	{"GET /a?b=c HTTP/1.1\r\n\r\n", 0, "200 OK", "/a"},
	{"GET http://node:10256/a/b HTTP/1.1\r\n\r\n", 0, "200 OK", "/a/b"},
	{"HEAD /a HTTP/1.1\r\n\r\n", 0, "200 OK", ""},
	{"GET /bad HTTP/1.1\r\n\r\n", 0, "503 Service Unavailable", "/bad"},
	{"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", 0, "200 OK", "/a"},
	{"GET /a%2Fb%20c HTTP/1.1\r\n\r\n", 0, "200 OK", "/a/b c"},
	{"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 0, "405 Method Not Allowed", ""},
	{"POST /a HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n", 0, "405 Method Not Allowed", ""},
	{"get /a HTTP/1.1\r\n\r\n", 0, "405 Method Not Allowed", ""},
	{"GET /a HTTP/2.0\r\n\r\n", 0, "505 HTTP Version Not Supported", NULL},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "505 HTTP Version Not Supported", NULL},
	{"GET /a\r\n\r\n", 0, "400 Bad Request", NULL},
	{"GET a HTTP/1.1\r\n\r\n", 0, "400 Bad Request", ""},
	{"GET http://node HTTP/1.1\r\n\r\n", 0, "400 Bad Request", ""},
	{"\x16\x03\x01\x02", 4, NULL, NULL}, /* TLS: nothing that ends */
	{"GET /\0a HTTP/1.1\r\n\r\n", 20, "200 OK", "/"}, /* the page before it, and no other */
	{" / HTTP/1.1\r\n\r\n", 0, NULL, NULL},
};

/* The head is one, and tells the length of what comes behind it. */
static void check_answer(
	const struct request *request, const struct text *answer, const char *how)
{
	_free_ char *status = mem_format("HTTP/1.1 %s\r\n", request->status);
	bool head = strncmp(request->bytes, "HEAD", 4) == 0;
	const char *end = answer->data ? strstr(answer->data, "\r\n\r\n") : NULL;
	const char *body = end ? end + 4 : "";
	_free_ char *length = mem_format("\r\nContent-Length: %zu\r\n", strlen(body));

	if (!end || strncmp(answer->data, status, strlen(status)) != 0 ||
		(request->body && strcmp(body, request->body) != 0) ||
		!(head ? !*body : !!strstr(answer->data, length)) ||
		!strstr(answer->data, "\r\nDate: ") ||
		!strstr(answer->data, "\r\nAllow: GET, HEAD\r\n") != !strstr(status, " 405 ") ||
		!strstr(answer->data, "\r\nConnection: close\r\n"))
		fail_msg("%s, %s: %s", request->bytes, how, text_string(answer));
}

/* At once, and byte by byte: the answer is the same. */
static void test_requests(void **state)
{
	const struct scene *scene = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(requests); i++) {
		const struct request *request = &requests[i / 2];
		size_t size = request->size ? request->size : strlen(request->bytes);
		_text_ struct text answer = {0};
		_close_ int fd = client_open(scene);

		for (size_t j = 0; j < size; j += i % 2 ? 1 : size) {
			/* What is wrong early is answered early. */
			if (send(fd, request->bytes + j, i % 2 ? 1 : size, MSG_NOSIGNAL) < 0)
				break;
			turn(scene);
		}
		if (!request->status)
			shutdown(fd, SHUT_WR);
		assert_int_equal(client_read(scene, fd, &answer), 0);
		if (request->status)
			check_answer(request, &answer, i % 2 ? "byte by byte" : "at once");
		else
			assert_int_equal(answer.length, 0);
	}
}

static void test_a_request_is_bounded(void **state)
{
	const struct scene *scene = *state;
	const struct request expected = {"GET", 0, "431 Request Header Fields Too Large", NULL};
	char filler[HTTP_REQUEST_MAX + 1000];
	_text_ struct text answer = {0};
	_close_ int fd = client_open(scene);

	memset(filler, 'a', sizeof(filler));
	client_send(fd, "GET / HTTP/1.1\r\nX: ", 19);
	client_send(fd, filler, sizeof(filler));
	assert_int_equal(client_read(scene, fd, &answer), 0);
	check_answer(&expected, &answer, "too large");
}

/* However slowly it is read, it comes whole. */
static void test_a_large_answer(void **state)
{
	const struct scene *scene = *state;
	_text_ struct text answer = {0};
	_close_ int fd = client_open(scene);

	client_send(fd, "GET /big HTTP/1.1\r\n\r\n", 21);
	turn(scene);
	assert_int_equal(client_read(scene, fd, &answer), 0);
	assert_int_equal(answer.length - (size_t)(strstr(answer.data, "\r\n\r\n") + 4 - answer.data),
		BIG);
}

/* Who sends without end and reads nothing is cut off; who asks meanwhile has his answer. */
static void test_somebody_who_only_sends(void **state)
{
	const struct scene *scene = *state;
	_text_ struct text answer = {0};
	_close_ int bad = client_open(scene), good = -1;
	char filler[65536] = "GET / HTTP/1.1\r\n\r\n";
	bool ended = false;

	for (int i = 0; i < 1000 && !ended; i++) {
		ended = send(bad, filler, sizeof(filler), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
			errno != EAGAIN;
		turn(scene);
	}
	assert_true(ended);
	good = client_open(scene);
	client_send(good, "GET /a HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(client_read(scene, good, &answer), 0);
	check_answer(&requests[3], &answer, "beside somebody who only sends");
}

static bool client_is_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Of more connections than there may be the oldest end, and there is always room for one more. */
static void test_many_who_say_nothing(void **state)
{
	const struct scene *scene = *state;
	int silent[HTTP_CONNECTIONS_MAX + 40];
	_text_ struct text answer = {0};
	_close_ int good = -1;

	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = client_open(scene);
		assert_true(silent[i] >= 0);
		turn(scene);
	}
	good = client_open(scene);
	client_send(good, "GET /a HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(client_read(scene, good, &answer), 0);
	check_answer(&requests[3], &answer, "beside many who say nothing");
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		assert_int_equal(client_is_closed(silent[i]), i < 41);
		close(silent[i]);
	}
	turn(scene);
}

/* Who comes then waits, costs no turn of the loop, and is answered once there are some again. */
static void test_no_descriptors_left(void **state)
{
	const struct scene *scene = *state;
	_close_ int good = client_open(scene);
	_text_ struct text answer = {0};
	struct rlimit limit, none;
	unsigned int turns = 0;
	uint64_t begun;

	client_send(good, "GET /a HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = (rlim_t)good + 1, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (begun = clock_monotonic_ms(); clock_monotonic_ms() - begun < 90; turns++)
		assert_int_equal(loop_turn(scene->loop, 10, NULL), 0);
	assert_in_range(turns, 1, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(client_read(scene, good, &answer), 0);
	check_answer(&requests[3], &answer, "after there were no descriptors");
}

/* Its port is free at once, connections or not, and another may have it. */
static void test_a_listener_ends(void **state)
{
	struct scene *scene = *state;
	struct http_listener *second = NULL;
	_close_ int fd = client_open(scene);
	struct err err;

	turn(scene);
	assert_int_equal(http_listen(scene->http, &scene->addr, scene->port, serve, NULL, &second,
				 &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "in use"));
	http_listener_close(&scene->listener);
	assert_null(scene->listener);
	assert_true(client_is_closed(fd));
	assert_int_equal(client_open(scene), -1);
	assert_int_equal(http_listen(scene->http, &scene->addr, scene->port, serve, NULL,
				 &scene->listener, &err), 0);
	_close_ int again = client_open(scene);

	assert_true(again >= 0);
}

/* An address of the other family, and one that the node does not have. */
static void test_addresses(void **state)
{
	struct scene *scene = *state;
	struct http_listener *any = NULL, *absent = NULL;
	struct addr addr = {0};

	if (addr_family(&scene->addr) == FAMILY_IPV6)
		addr_set_v4(&addr, 0);
	assert_int_equal(
		http_listen(scene->http, &addr, scene->port, serve, NULL, &any, NULL), 0);
	addr_parse(addr_family(&scene->addr) == FAMILY_IPV4 ? "192.0.2.1" : "2001:db8::1", &addr);
	assert_int_equal(
		http_listen(scene->http, &addr, scene->port, serve, NULL, &absent, NULL), 0);
}

static void test_who_is_slow_is_ended(void **state)
{
	const struct scene *scene = *state;
	uint64_t begun = clock_monotonic_ms();
	_close_ int first = client_open(scene);
	_close_ int second = -1;

	for (int i = 0; !client_is_closed(first) && clock_monotonic_ms() - begun < 100 * SLOW_MS;
		i++) {
		assert_int_equal(loop_turn(scene->loop, 20, NULL), 0);
		if (i < 100) /* that it says something does not help */
			send(first, "G", 1, MSG_NOSIGNAL);
		if (second < 0 && clock_monotonic_ms() - begun >= SLOW_MS / 2)
			second = client_open(scene);
	}
	assert_true(client_is_closed(first));
	assert_true(clock_monotonic_ms() - begun >= SLOW_MS);
	assert_true(second >= 0);
	while (!client_is_closed(second) && clock_monotonic_ms() - begun < 200 * SLOW_MS)
		assert_int_equal(loop_turn(scene->loop, 20, NULL), 0);
	assert_true(client_is_closed(second));
}

#define BOTH(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, scene_open_ipv4, scene_close),                       \
		cmocka_unit_test_setup_teardown(test, scene_open_ipv6, scene_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_requests),
		BOTH(test_a_request_is_bounded),
		BOTH(test_a_large_answer),
		BOTH(test_somebody_who_only_sends),
		BOTH(test_many_who_say_nothing),
		BOTH(test_no_descriptors_left),
		BOTH(test_a_listener_ends),
		BOTH(test_addresses),
		cmocka_unit_test_setup_teardown(
			test_who_is_slow_is_ended, scene_open_short, scene_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
