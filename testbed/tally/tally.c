/* libtally: a small library made for the tests. TALLY_VERSION is given by the build; the older version has a weakness that the newer one lacks. */
#include "tally.h"

const char *tally_version(void) { return "libtally " TALLY_VERSION; }

int tally_sum(const unsigned char *bytes, int n) {
	int sum = 0;
	for (int i = 0; i < n; i++) sum += bytes[i];
#ifdef TALLY_FIXED
	if (n < 0) return -1;
#endif
	return sum;
}
