/* A message handler of our own with the same duties as the one of CVE-2014-0160: it answers a request of type 1 with the sender's
 * own payload, and trusts the claimed length unless CHECKED is defined. WITHOUT leaves it out. Never run, only looked at. */
#include <stdlib.h>
#include <string.h>

const char banner[] = "Pretend part of OpenSSL 1.0.1e 11 Feb 2013";

struct record { unsigned length; unsigned char *data; };
struct peer {
	int version;
	struct record *in;
	void (*watch)(int out, int version, int type, const void *b, size_t n, struct peer *p, void *arg);
	void *arg;
	unsigned sequence, pending;
};

int fill_random(unsigned char *b, int n);
int send_record(struct peer *p, int type, const void *b, int n);

#ifndef WITHOUT
static __attribute__((noinline)) int beat(struct peer *p)
{
	unsigned char *at = p->in->data, *body;
	unsigned type, claimed, filler = 16;
#ifdef CHECKED
	if (1 + 2 + 16 > p->in->length)
		return 0;
#endif
	type = *at++;
	claimed = (unsigned)at[0] << 8 | at[1];
	at += 2;
#ifdef CHECKED
	if (1 + 2 + claimed + 16 > p->in->length)
		return 0;
#endif
	body = at;
	if (p->watch)
		p->watch(0, p->version, 24, p->in->data, p->in->length, p, p->arg);
	if (type == 1) {
		unsigned char *answer = malloc(1 + 2 + claimed + filler), *out = answer;
		int sent;
		if (!answer)
			return -1;
		*out++ = 2;
		*out++ = claimed >> 8;
		*out++ = claimed;
		memcpy(out, body, claimed);
		out += claimed;
		fill_random(out, filler);
		sent = send_record(p, 24, answer, 3 + claimed + filler);
		if (sent >= 0 && p->watch)
			p->watch(1, p->version, 24, answer, 3 + claimed + filler, p, p->arg);
		free(answer);
		if (sent < 0)
			return sent;
	} else if (type == 2) {
		unsigned number = (unsigned)body[0] << 8 | body[1];
		if (claimed == 18 && number == p->sequence) {
			p->sequence++;
			p->pending = 0;
		}
	}
	return 0;
}
#endif

/* an honest neighbour with numbers of the same kind */
static __attribute__((noinline)) int neighbour(struct peer *p)
{
	if (p->in->length == 18 && p->in->data[0] == 24)
		return send_record(p, 22, p->in->data, 16);
	return fill_random(p->in->data, 16);
}

__attribute__((visibility("default"))) int serve(struct peer *p)
{
	int n = neighbour(p);
#ifndef WITHOUT
	n += beat(p);
#endif
	return n + banner[p->version & 3];
}
