/* A server that only waits. It needs the library, or holds it when WHOLE is defined. */
#ifdef WHOLE
#include "lib.c"
#else
int EVP_EncryptInit_ex(void);
#endif
void _start(void)
{
	volatile int keep = 0;
	if (keep)
		EVP_EncryptInit_ex();
	for (;;)
#if defined(__x86_64__)
		__asm__ volatile("syscall" : : "a"(34) : "rcx", "r11", "memory"); /* pause */
#else
		__asm__ volatile("mov x8, #73\n mov x0, xzr\n mov x1, xzr\n mov x2, xzr\n mov x3, xzr\n svc #0" : : : "x0", "x1", "x2", "x3", "x8", "memory"); /* ppoll */
#endif
}
