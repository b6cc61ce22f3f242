// SPDX-License-Identifier: Apache-2.0
/*
 * Both ends of the small-message measurements.
 *
 *   round-trip serve PORT                        says "ready", serves until killed
 *   round-trip rr ADDRESS PORT SECONDS           one byte there and back on one connection
 *   round-trip connect ADDRESS PORT SECONDS      connect, one byte there and back, close
 *
 * A client prints how many it did in a second. The server closes first, so that it, not the
 * client, keeps the states that TCP must keep after a close; the client never runs out of ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_RR 'r' /* a connection that stays */
#define LINE_CONNECT 'c' /* a connection that is closed after one byte */

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "round-trip: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int listen_everywhere(uint16_t port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), yes = 1, no = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0)
		give_up("listening");
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		give_up("epoll");
}

/* Sends the byte back; false where the connection is to be closed. */
static bool serve_byte(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 1)
		return false;
	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && byte == LINE_RR;
}

static _Noreturn void serve(uint16_t port)
{
	int listener = listen_everywhere(port), epoll = epoll_create1(0), yes = 1;
	struct epoll_event event;

	watch(epoll, listener);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd;

		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.fd != listener) {
			if (!serve_byte(event.data.fd))
				close(event.data.fd);
			continue;
		}
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		watch(epoll, fd);
	}
}

static int connect_to(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = socket(address->ss_family, SOCK_STREAM, 0), yes = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, size) < 0)
		give_up("connecting");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

static void exchange(int fd, char byte)
{
	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
		give_up("exchanging a byte");
}

/* One exchange on a connection of its own. */
static void connect_exchange_close(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = connect_to(address, size);
	char rest;

	exchange(fd, LINE_CONNECT);
	if (recv(fd, &rest, 1, 0) != 0) /* the server's close */
		give_up("waiting for the close");
	close(fd);
}

static void run_client(bool connect_each, const struct sockaddr_storage *address, socklen_t size,
	double seconds)
{
	unsigned long done = 0;
	double begin, now;
	int fd;

	connect_exchange_close(address, size); /* neighbors are found before the clock starts */
	fd = connect_each ? -1 : connect_to(address, size);
	for (begin = now = now_seconds(); now < begin + seconds; now = now_seconds(), done++) {
		if (connect_each)
			connect_exchange_close(address, size);
		else
			exchange(fd, LINE_RR);
	}
	printf("%.0f\n", (double)done / (now - begin));
}

static socklen_t parse_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *v6 = (void *)address;
	struct sockaddr_in *v4 = (void *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
		errno = EINVAL;
		give_up(text);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage address;
	socklen_t size;

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve((uint16_t)strtoul(argv[2], NULL, 10));
	if (argc != 5 || (strcmp(argv[1], "rr") != 0 && strcmp(argv[1], "connect") != 0)) {
		fputs("usage: round-trip serve PORT | rr|connect ADDRESS PORT SECONDS\n", stderr);
		return 2;
	}
	size = parse_address(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), &address);
	run_client(strcmp(argv[1], "connect") == 0, &address, size, strtod(argv[4], NULL));
	return 0;
}
