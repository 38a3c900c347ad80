/* Names and manners of libraries that tell their version by a function or by data; none of their code. */
const char *zlibVersion(void) { return "1.2.13"; }
int inflateInit2_(void) { return 0; }
unsigned lzma_version_number(void) { return 50040012u; }
int lzma_stream_decoder(void) { return 0; }
int WebPGetDecoderVersion(void) { return 0x10204; }
const char sqlite3_version[] = "3.40.1";
int sqlite3_open_v2(void) { return 0; }
const unsigned long Py_Version = 0x030b02f0;
int Py_BytesMain(void) { return 0; }
const char *unrelated(void) { return "1.52.0"; }
int nghttp2_session_client_new(void) { return 0; }
