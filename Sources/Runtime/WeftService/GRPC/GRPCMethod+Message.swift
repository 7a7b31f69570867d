package import WeftGRPC
package import WeftProtobuf

extension GRPCMethod {
  /// A method of generated messages: `/package.Service/Method`.
  package init(_ path: String) where Request: Message, Response: Message {
    self.init(
      path: path,
      encodeRequest: { $0.serialized() }, decodeRequest: { try Request(serialized: $0) },
      encodeResponse: { $0.serialized() }, decodeResponse: { try Response(serialized: $0) })
  }
}
