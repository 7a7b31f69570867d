/// A callable method: its path and how its messages become bytes.
///
/// The closures keep this target free of any serialisation library: generated protobuf messages, raw bytes and
/// hand-written codecs all fit.
package struct GRPCMethod<Request: Sendable, Response: Sendable>: Sendable {
  /// The HTTP/2 path: `/package.Service/Method`.
  package let path: String
  package let encodeRequest: @Sendable (Request) throws -> [UInt8]
  package let decodeRequest: @Sendable ([UInt8]) throws -> Request
  package let encodeResponse: @Sendable (Response) throws -> [UInt8]
  package let decodeResponse: @Sendable ([UInt8]) throws -> Response

  package init(
    path: String,
    encodeRequest: @escaping @Sendable (Request) throws -> [UInt8],
    decodeRequest: @escaping @Sendable ([UInt8]) throws -> Request,
    encodeResponse: @escaping @Sendable (Response) throws -> [UInt8],
    decodeResponse: @escaping @Sendable ([UInt8]) throws -> Response
  ) {
    self.path = path
    self.encodeRequest = encodeRequest
    self.decodeRequest = decodeRequest
    self.encodeResponse = encodeResponse
    self.decodeResponse = decodeResponse
  }
}

extension GRPCMethod where Request == [UInt8], Response == [UInt8] {
  /// A method whose messages stay raw bytes.
  package init(raw path: String) {
    self.init(
      path: path, encodeRequest: { $0 }, decodeRequest: { $0 }, encodeResponse: { $0 }, decodeResponse: { $0 })
  }
}
