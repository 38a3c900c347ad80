/* A stand-in for libcrypto: the two names and the version text by which it is known. Never called. */
const char version_text[] = "OpenSSL " VERSION " 11 Feb 2013";
int EVP_EncryptInit_ex(void) { return version_text[0]; }
int BN_mod_exp_mont(void) { return version_text[1]; }
