/* tallyd PORT: answers every HTTP request with the version of the library that it really runs. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tally.h"

static int listen_on(int port) {
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (struct sockaddr *)&a, sizeof a) != 0 || listen(s, 128) != 0) {
		perror("tallyd");
		exit(1);
	}
	return s;
}

/* request reads until the empty line: what is left unread when we close would reset the connection. */
static int request(int c, unsigned char *in, int size) {
	int n = 0;
	while (n < size) {
		int got = (int)read(c, in + n, (size_t)(size - n));
		if (got <= 0) break;
		n += got;
		if (n >= 4 && memcmp(in + n - 4, "\r\n\r\n", 4) == 0) break;
	}
	return n;
}

int main(int argc, char **argv) {
	int s = listen_on(argc > 1 ? atoi(argv[1]) : 7001);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		unsigned char in[1024];
		char out[256];
		struct timeval wait = {.tv_sec = 2};
		int c = accept(s, NULL, NULL);
		if (c < 0) continue;
		setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
		int n = request(c, in, sizeof in);
		int len = snprintf(out, sizeof out, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n%s %d\n", tally_version(), tally_sum(in, n) >= 0);
		if (write(c, out, (size_t)len) < 0) perror("tallyd: write");
		close(c);
	}
}
