package import WeftHTTP

/// A request as a handler sees it. The body arrives while the handler runs.
package struct HTTPServerRequest: Sendable {
  package var head: HTTPRequest
  package var version: HTTPVersion
  package var peer: HTTPPeer
  package var body: HTTPBody

  package init(head: HTTPRequest, version: HTTPVersion, peer: HTTPPeer, body: HTTPBody) {
    self.head = head
    self.version = version
    self.peer = peer
    self.body = body
  }
}
