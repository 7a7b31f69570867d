/// Every bound of the cold path in one value; each is named in the error that reports it.
package struct ServiceLimits: Sendable {
  /// Bytes of one message head, all fields together.
  package var headBytes = 64 * 1024
  package var headFields = 128
  /// Bytes of one request or response body that `collect` and the gRPC unary calls accept by default.
  package var bodyBytes = 64 * 1024 * 1024
  /// Open connections of one server; further ones are closed at once.
  package var connections = 10_000
  /// Requests of one client that wait for a connection to one address; further ones fail at once.
  package var waitingRequests = 10_000
  /// Concurrent HTTP/2 streams of one connection (SETTINGS_MAX_CONCURRENT_STREAMS).
  package var streamsPerConnection = 1_000
  /// Bytes buffered between loop and task, per direction and stream, before the sender is held back.
  package var streamBufferBytes = 256 * 1024
  /// From accepting a connection, or the last response, to a complete request head.
  package var headTimeout: Duration = .seconds(30)
  /// Without any stream on a keep-alive connection.
  package var idleTimeout: Duration = .seconds(300)
  /// From `connect` to a usable connection, TLS included.
  package var connectTimeout: Duration = .seconds(5)
  /// Server: how long one exchange may take in all; nil leaves it to the handler.
  package var requestTimeout: Duration?
  /// Client: connections kept per address; further HTTP/1.1 requests wait for one.
  package var connectionsPerAddress = 64
  /// HTTP/2: a silent connection with open streams is pinged after this time…
  package var keepAliveTime: Duration = .seconds(30)
  /// …and closed when the answer takes longer than this.
  package var keepAliveTimeout: Duration = .seconds(20)

  package init() {}
}
