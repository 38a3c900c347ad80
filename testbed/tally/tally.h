#ifndef TALLY_H
#define TALLY_H
const char *tally_version(void);
int tally_sum(const unsigned char *bytes, int n);
#endif
