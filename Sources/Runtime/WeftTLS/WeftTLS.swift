// WeftTLS: TLS over OpenSSL 3 as a sans-I/O transport.
//
// Owns      TLSContext (identity, trust, versions, ALPN: one per configuration, shared by threads), TLSSession (one per connection, a
//           TransportSession), ClientHello (what a client asks for, read before any context is chosen), X.509 reading
//           (PeerCertificate, SubjectAltName) and issuing (CertificateAuthority).
// Never     does I/O, keeps a buffer for an idle connection, lets plaintext pass before the handshake is done, changes a context that is in
//           use: a new secret makes a new context, for new connections.
// Neighbours WeftRuntime (the loop feeds sessions), OpenSSL below; WeftService, WeftUpstream and WeftProxy above.
// Threads   contexts may be shared; a session belongs to its connection's loop.
//
// OpenSSL is driven through a BIO of our own that reads straight from the loop's buffer and writes straight into the loop's output, so
// that neither side copies through a memory BIO or keeps one.
