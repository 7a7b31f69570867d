// OpenSSL 3 for Swift. Much of its interface is macros, which Swift cannot see: those used have a static-inline twin here.
#pragma once
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static inline long weft_ssl_ctx_set_min_version(SSL_CTX *c, int v) { return SSL_CTX_set_min_proto_version(c, v); }
static inline long weft_ssl_ctx_set_max_version(SSL_CTX *c, int v) { return SSL_CTX_set_max_proto_version(c, v); }
static inline long weft_ssl_ctx_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long weft_ssl_ctx_session_cache(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline long weft_ssl_ctx_set_groups(SSL_CTX *c, const char *g) { return SSL_CTX_set1_groups_list(c, g); }
static inline long weft_ssl_ctx_add_chain(SSL_CTX *c, X509 *x) { return SSL_CTX_add1_chain_cert(c, x); }
static inline long weft_ssl_ctx_clear_chain(SSL_CTX *c) { return SSL_CTX_clear_chain_certs(c); }
static inline long weft_ssl_set_host_name(SSL *s, const char *n) { return SSL_set_tlsext_host_name(s, n); }
static inline void weft_bio_retry_read(BIO *b) { BIO_set_retry_read(b); }
static inline void weft_bio_clear_retry(BIO *b) { BIO_clear_retry_flags(b); }
static inline long weft_bio_mem_data(BIO *b, char **data) { return BIO_get_mem_data(b, data); }
static inline EVP_PKEY *weft_generate_ec_key(const char *curve) { return EVP_EC_gen(curve); }
static inline EVP_PKEY *weft_generate_rsa_key(unsigned bits) { return EVP_RSA_gen(bits); }

static inline int weft_general_names_count(const GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
static inline int weft_general_name_type(const GENERAL_NAMES *n, int i) { return sk_GENERAL_NAME_value(n, i)->type; }
/// The bytes of a DNS, URI, e-mail or IP name; null for other types.
static inline const unsigned char *weft_general_name_bytes(const GENERAL_NAMES *n, int i, int *length) {
  const GENERAL_NAME *g = sk_GENERAL_NAME_value(n, i);
  const ASN1_STRING *s = NULL;
  switch (g->type) {
  case GEN_URI: s = g->d.uniformResourceIdentifier; break;
  case GEN_DNS: s = g->d.dNSName; break;
  case GEN_EMAIL: s = g->d.rfc822Name; break;
  case GEN_IPADD: s = g->d.iPAddress; break;
  default: return NULL;
  }
  *length = ASN1_STRING_length(s);
  return ASN1_STRING_get0_data(s);
}
static inline void weft_general_names_free(GENERAL_NAMES *n) { GENERAL_NAMES_free(n); }

static inline int weft_info_count(const STACK_OF(X509_INFO) *s) { return sk_X509_INFO_num(s); }
static inline X509 *weft_info_certificate(const STACK_OF(X509_INFO) *s, int i) { return sk_X509_INFO_value(s, i)->x509; }
static inline X509_CRL *weft_info_crl(const STACK_OF(X509_INFO) *s, int i) { return sk_X509_INFO_value(s, i)->crl; }
static inline void weft_info_free(STACK_OF(X509_INFO) *s) { sk_X509_INFO_pop_free(s, X509_INFO_free); }

/// No renegotiation, no compression, the server's order of ciphers; buffers given back when idle.
static inline void weft_ssl_ctx_harden(SSL_CTX *c) {
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
}
static inline void weft_ssl_ctx_refuse_tickets(SSL_CTX *c) {
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(c, 0);
}
static inline int weft_bio_unique_type(void) { return BIO_get_new_index() | BIO_TYPE_SOURCE_SINK; }

static inline GENERAL_NAMES *weft_general_names_new(void) { return sk_GENERAL_NAME_new_null(); }
/// Adds a name of type GEN_URI, GEN_DNS, GEN_EMAIL or GEN_IPADD. 1 on success.
static inline int weft_general_names_add(GENERAL_NAMES *n, int type, const unsigned char *bytes, int length) {
  GENERAL_NAME *g = GENERAL_NAME_new();
  ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  if (!g || !s || !ASN1_STRING_set(s, bytes, length)) {
    GENERAL_NAME_free(g);
    ASN1_STRING_free(s);
    return 0;
  }
  GENERAL_NAME_set0_value(g, type, s);
  return sk_GENERAL_NAME_push(n, g) > 0;
}
/// Adds an extension written as in an OpenSSL configuration file. 1 on success.
static inline int weft_add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  if (!e) return 0;
  int ok = X509_add_ext(x, e, -1);
  X509_EXTENSION_free(e);
  return ok;
}
/// Writes a distinguished name in the form of RFC 2253.
static inline int weft_certificates_count(const STACK_OF(X509) *s) { return s ? sk_X509_num(s) : 0; }
static inline X509 *weft_certificate_at(const STACK_OF(X509) *s, int i) { return sk_X509_value(s, i); }
static inline int weft_print_name(BIO *b, const X509_NAME *n) { return X509_NAME_print_ex(b, n, 0, XN_FLAG_RFC2253); }
