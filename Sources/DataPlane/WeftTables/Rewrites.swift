package import WeftBase
package import WeftHTTP
package import WeftModel
package import WeftProxyAPI

/// Parts of a redirect's `Location`. *Shape*: trivial; views live as long as the snapshot.
package struct CompiledRedirect: BitwiseCopyable {
  enum Path: UInt8, BitwiseCopyable { case none, path, prefix, regex }
  var scheme = ByteView.empty
  var host = ByteView.empty
  /// 0: keep.
  var port: UInt16 = 0
  var path = Path.none
  var text = ByteView.empty
  var regex = RegexRef.none
  /// Length of the matched prefix that `prefix` replaces.
  var matched = 0
  var stripsQuery = false

  package init() {}

  package init(_ redirect: Redirect, matched: Int, _ storage: SnapshotStorage) throws(ConfigError) {
    scheme = redirect.https ? ByteView("https" as StaticString) : storage.text(redirect.scheme)
    host = storage.text(redirect.host)
    port = redirect.port
    stripsQuery = redirect.stripQuery
    self.matched = matched
    switch redirect.path {
    case .none: break
    case .path(let new):
      path = .path
      text = storage.text(new)
    case .prefix(let new):
      path = .prefix
      text = storage.text(new)
    case .regex(let rewrite):
      path = .regex
      text = storage.text(rewrite.substitution)
      do throws(ConfigError) { regex = try storage.regex(rewrite.pattern) } catch {
        throw error.inside(FieldPath().field("redirect").field("regex_rewrite").field("pattern").field("regex"))
      }
    }
  }

  /// The `Location` for this request, in the head's arena. The request's port is left out where it is the scheme's own; a configured one is said. The head's scheme is the client's:
  /// behind a hop that ends TLS, `https`.
  func location(_ head: MessageHead) -> ByteView {
    let scheme = self.scheme.isEmpty ? head.scheme : self.scheme
    let requestHost = head.authority.withoutPort
    var port = ByteView.empty
    if self.port != 0 {
      port = head.decimal(UInt64(self.port))
    } else if host.isEmpty, requestHost.count < head.authority.count {
      port = head.authority.dropFirst(requestHost.count + 1)
      // A port that only spelled out the old scheme does not fit the new one.
      if !self.scheme.isEmpty, port.equals(head.scheme.equals("https") ? "443" : "80") { port = .empty }
      if port.equals(scheme.equals("https") ? "443" : "80") { port = .empty }
    }
    let host = self.host.isEmpty ? requestHost : self.host

    let original = head.path
    let query = head.path.query
    let bare = head.path.pathWithoutQuery
    var path = bare
    var keepsQuery = !stripsQuery
    switch self.path {
    case .none: break
    case .path:
      path = text
      // A new path with its own query replaces the old query.
      if text.contains(UInt8(ascii: "?")) { keepsQuery = false }
    case .prefix: path = head.concatenate(text, bare.dropFirst(min(matched, bare.count)))
    case .regex: path = regex.replacing(bare, with: text, in: head)
    }
    let tail = keepsQuery && query != nil ? original.dropFirst(bare.count) : .empty
    // Room for `://`, `:` and a leading slash.
    var capacity = scheme.count + host.count + port.count + 5
    capacity += path.count + tail.count
    return unsafe head.build(capacity) { room in
      var used = 0
      func put(_ view: ByteView) {
        unsafe (room.baseAddress.unsafelyUnwrapped + used).copyMemory(from: view.base, byteCount: view.count)
        used += view.count
      }
      put(scheme)
      put(ByteView("://" as StaticString))
      put(host)
      if !port.isEmpty {
        put(ByteView(":" as StaticString))
        put(port)
      }
      if path.first != UInt8(ascii: "/") { put(ByteView("/" as StaticString)) }
      put(path)
      put(tail)
      return used
    }
  }
}

extension ConfigRef<CompiledRoute> {
  /// The `Location` of a redirect.
  package func location(_ head: MessageHead) -> ByteView { self[].redirect.location(head) }

  /// The path to forward, or `nil` when the route does not rewrite it. The query is kept.
  package func rewrittenPath(_ head: MessageHead) -> ByteView? {
    switch self[].pathRewrite {
    case .none: return nil
    case .prefix:
      var path = head.path
      // Parameters inside the prefix were not there when it was matched.
      if self[].ignoresParameters, path.prefix(self[].matchedPrefix).contains(UInt8(ascii: ";")) {
        path = PathNormalization.withoutParameters(path, scratch: head)
      }
      return head.concatenate(
        self[].prefixRewrite, path.dropFirst(min(self[].matchedPrefix, path.pathWithoutQuery.count)))
    case .regex:
      let bare = head.path.pathWithoutQuery
      let new = self[].pathRegex.replacing(bare, with: self[].pathSubstitution, in: head)
      // Nothing is no path: the old one stays.
      if new.isEmpty { return nil }
      return bare.count == head.path.count ? new : head.concatenate(new, head.path.dropFirst(bare.count))
    }
  }

  /// The authority to forward, or `nil` when the route keeps it. `endpoint` is the host name of the endpoint, for
  /// automatic rewriting.
  package func rewrittenHost(_ head: MessageHead, endpoint: ByteView) -> ByteView? {
    switch self[].hostRewrite {
    case .none: return nil
    case .literal: return self[].hostRewriteText
    case .automatic: return endpoint.isEmpty ? nil : endpoint
    case .header: return head.value(named: self[].hostRewriteText)
    case .pathRegex:
      return self[].hostRegex.replacing(head.path.pathWithoutQuery, with: self[].hostRewriteText, in: head)
    }
  }
}
