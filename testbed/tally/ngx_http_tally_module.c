/* A module for nginx that is linked to libtally: every answer says in X-Tally which version of the library this worker really runs. */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "tally.h"

static ngx_http_output_header_filter_pt next_filter;

static ngx_int_t add_version(ngx_http_request_t *r) {
	ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
	if (h == NULL) return NGX_ERROR;
	h->hash = 1;
	ngx_str_set(&h->key, "X-Tally");
	h->value.data = (u_char *)tally_version();
	h->value.len = ngx_strlen(h->value.data);
	return next_filter(r);
}

static ngx_int_t hook(ngx_conf_t *cf) {
	next_filter = ngx_http_top_header_filter;
	ngx_http_top_header_filter = add_version;
	return NGX_OK;
}

static ngx_http_module_t context = {NULL, hook, NULL, NULL, NULL, NULL, NULL, NULL};

ngx_module_t ngx_http_tally_module = {NGX_MODULE_V1, &context, NULL, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};
