// Check: the authorization service by gRPC, `envoy.service.auth.v3.Authorization`.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTelemetry

// MARK: The question

extension ExtAuthz {
  /// Lays a `CheckRequest` out.
  func askByCheck(_ head: MessageHead, _ x: borrowing FilterCall<Config>) {
    let facts = x.connection()
    x.writeCallBody { buffer in
      buffer.append(UInt8(0))
      buffer.append(repeating: 0, count: 4)
      write(head, facts, x, to: &buffer)
      var length = UInt32(clamping: buffer.count - 5).bigEndian
      unsafe withUnsafeBytes(of: &length) { unsafe buffer.replace(at: 1, with: ByteView($0)) }
    }
    let call = x.callHead
    call.startRequest(
      .post, scheme: ByteView("http"), authority: x.config.service.authority,
      path: ByteView("/envoy.service.auth.v3.Authorization/Check"))
    call.append(.te, ByteView("trailers"))
    if !x.config.service.timeoutText.isEmpty { call.append(.grpcTimeout, x.config.service.timeoutText) }
    call.append(.contentType, ByteView("application/grpc"))
    x.apply(x.config.service.headers, to: call, of: head)
  }

  private func write(
    _ head: MessageHead, _ facts: ConnectionEnds, _ x: borrowing FilterCall<Config>, to buffer: inout ByteBuffer
  ) {
    buffer.append(field: 1) { attributes in
      attributes.append(field: 1) { source in
        address(facts.peer, facts.peerPort, isPath: facts.peerIsPath, to: &source)
        if let service = head.first(.envoyDownstreamServiceCluster) { source.append(field: 2, text: service) }
        source.append(field: 4, text: facts.peerPrincipal)
      }
      attributes.append(field: 2) { destination in
        address(facts.local, facts.localPort, isPath: facts.localIsPath, to: &destination)
        destination.append(field: 4, text: facts.localPrincipal)
      }
      attributes.append(field: 4) { request in
        request.append(field: 1) { time in
          let start = UInt64(clamping: facts.startUnixNanoseconds)
          time.append(field: 1, varint: start / 1_000_000_000)
          time.append(field: 2, varint: start % 1_000_000_000)
        }
        request.append(field: 2) { http(head, facts, x, to: &$0) }
      }
      for i in x.config.extensions.indices {
        pair(10, x.config.extensions[i].key, x.config.extensions[i].value, to: &attributes)
      }
      if x.config.sendsServerName {
        attributes.append(field: 12) { $0.append(field: 1, text: facts.serverName) }
      }
    }
  }

  private func address(_ text: ByteView, _ port: UInt16, isPath: Bool, to peer: inout ByteBuffer) {
    peer.append(field: 1) { address in
      if isPath { return address.append(field: 2) { $0.append(field: 1, text: text) } }
      address.append(field: 1) { socket in
        socket.append(field: 2, text: text)
        socket.append(field: 3, varint: UInt64(port))
      }
    }
  }

  private func http(
    _ head: MessageHead, _ facts: ConnectionEnds, _ x: borrowing FilterCall<Config>, to http: inout ByteBuffer
  ) {
    http.append(field: 1) { $0.append(decimal: facts.number) }
    http.append(field: 2, text: head.methodText)
    http.append(field: 4, text: head.path)
    http.append(field: 5, text: head.authority)
    http.append(field: 6, text: head.scheme)
    http.append(field: 9, varint: facts.bytesReceived)
    switch facts.version {
    case .http10: http.append(field: 10, text: ByteView("HTTP/1.0"))
    case .http11: http.append(field: 10, text: ByteView("HTTP/1.1"))
    case .http2: http.append(field: 10, text: ByteView("HTTP/2"))
    }
    let content = x.body.prefix(x.config.contentLimit)
    if x.config.packsAsBytes { http.append(field: 12, bytes: content) } else { http.append(field: 11, text: content) }
    if !x.config.sendsRawHeaders {
      headers(head, x) { name, value in pair(3, name, value, to: &http) }
      if !x.body.isEmpty { pair(3, ByteView(Self.partialContent), Self.isPartial(content, x.body), to: &http) }
      return
    }
    http.append(field: 13) { map in
      headers(head, x) { name, value in raw(name, value, to: &map) }
      if !x.body.isEmpty { raw(ByteView(Self.partialContent), Self.isPartial(content, x.body), to: &map) }
    }
  }

  static func isPartial(_ shown: ByteView, _ all: ByteView) -> ByteView {
    ByteView(shown.count < all.count ? "true" : "false")
  }

  /// The headers that the service sees: each name once, with all its values, where the form has no room for more.
  private func headers(
    _ head: MessageHead, _ x: borrowing FilterCall<Config>, _ body: (_ name: ByteView, _ value: ByteView) -> Void
  ) {
    pseudo(":authority", head.authority, x, body)
    pseudo(":path", head.path, x, body)
    pseudo(":method", head.methodText, x, body)
    pseudo(":scheme", head.scheme, x, body)
    for i in 0..<head.slotCount {
      let field = head.field(at: i)
      if field.flags.contains(.removed) { continue }
      let name = head.lowercased(field.name)
      guard shows(name, x) else { continue }
      if x.config.sendsRawHeaders {
        body(name, field.value)
      } else if head.firstIndex(named: field.name) == i {
        body(name, head.joinedValue(named: field.name) ?? field.value)
      }
    }
  }

  private func pseudo(
    _ name: StaticString, _ value: ByteView, _ x: borrowing FilterCall<Config>,
    _ body: (_ name: ByteView, _ value: ByteView) -> Void
  ) {
    if !value.isEmpty, shows(ByteView(name), x) { body(ByteView(name), value) }
  }

  /// An entry of a map of strings.
  private func pair(_ field: UInt64, _ name: ByteView, _ value: ByteView, to buffer: inout ByteBuffer) {
    buffer.append(field: field) { entry in
      entry.append(field: 1, text: name)
      entry.append(field: 2, text: value)
    }
  }

  /// A `HeaderValue` with its bytes as they came.
  private func raw(_ name: ByteView, _ value: ByteView, to buffer: inout ByteBuffer) {
    buffer.append(field: 1) { header in
      header.append(field: 1, text: name)
      header.append(field: 3, bytes: value)
    }
  }
}

// MARK: The answer

extension ExtAuthz {
  mutating func judgeCheck(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    guard x.answerHead.status == 200, let status = x.answerHead.first(.grpcStatus), status.equals("0"),
      let message = grpcMessage(x.answerBody), let answer = CheckAnswer(message)
    else { return failed(head, x) }
    if answer.hasMetadata { x.config.stats[x.worker].add(.ignoredDynamicMetadata) }
    if answer.isOK {
      guard isSound(answer.ok, for: head) else { return invalid(x) }
      let changed = apply(answer.ok, to: head)
      keepChanges(answer.ok, x)
      return admit(head, changed: changed, x)
    }
    guard let denial = answer.denial else { return deny(403, .empty, x) }
    var reader = WireReader(denial.message)
    while let field = reader.next() {
      guard field.number == 2, let option = HeaderOption(field.bytes), option.append != true else { continue }
      guard option.isSound else { return invalid(x) }
      if option.frames { continue }
      // An answer without content has no type of it.
      if denial.body.isEmpty, option.name.equalsIgnoringCase("content-type") { continue }
      x.replyFields.append(named: option.name, option.value)
    }
    if answer.isError {
      return failed(head, x, saying: (denial.status ?? x.config.errorStatus, denial.body))
    }
    return deny(denial.status ?? 403, denial.body, x)
  }

  /// How many changes one answer may ask for: each may copy what the ones before it have made.
  private static let mostChanges = 256

  /// Whether all that an `OkHttpResponse` asks for can be done.
  private func isSound(_ ok: ByteView, for head: MessageHead) -> Bool {
    var reader = WireReader(ok)
    var changes = 0
    while let field = reader.next() {
      changes += 1
      if changes > Self.mostChanges { return false }
      switch field.number {
      case 2:
        guard field.isBytes, let option = HeaderOption(field.bytes) else { return false }
        if option.name.first == UInt8(ascii: ":") {
          guard isSound(pseudo: option, for: head) else { return false }
        } else if option.name.equalsIgnoringCase("host") {
          guard isTarget(option.value) else { return false }
        } else if !option.isSound {
          return false
        }
      case 6:
        guard field.isBytes, let option = HeaderOption(field.bytes), option.isSound else { return false }
      case 7:
        guard field.isBytes, let parameter = Self.parameter(field.bytes), isQuery(parameter.key),
          isQuery(parameter.value)
        else { return false }
      case 8: guard field.isBytes, isQuery(field.bytes) else { return false }
      default: break
      }
    }
    return true
  }

  /// A method that says how a message is framed is neither given nor taken: the request has begun as what it is.
  private func isSound(pseudo option: HeaderOption, for head: MessageHead) -> Bool {
    if option.append == true { return true }
    if option.name.equals(":path") { return option.value.first == UInt8(ascii: "/") && isTarget(option.value) }
    if option.name.equals(":authority") { return isTarget(option.value) }
    if option.name.equals(":scheme") { return option.value.equals("http") || option.value.equals("https") }
    guard option.name.equals(":method"), MessageHead.isSound(name: option.value, value: .empty) else {
      return false
    }
    return ![.head, .connect].contains(HTTPMethod.find(option.value)) && ![.head, .connect].contains(head.method)
  }

  /// Nothing that ends a request line, or a part of it.
  func isTarget(_ text: ByteView) -> Bool {
    for i in 0..<text.count where text[i] <= 0x20 || text[i] == 0x7f { return false }
    return !text.isEmpty
  }

  private func isQuery(_ text: ByteView) -> Bool {
    for i in 0..<text.count where text[i] <= 0x20 || text[i] == 0x7f || text[i] == UInt8(ascii: "#") { return false }
    return true
  }

  private static func parameter(_ message: ByteView) -> (key: ByteView, value: ByteView)? {
    var reader = WireReader(message)
    var (key, value) = (ByteView.empty, ByteView.empty)
    while let field = reader.next() {
      if !field.isBytes { continue }
      if field.number == 1 { key = field.bytes }
      if field.number == 2 { value = field.bytes }
    }
    return reader.isMalformed || key.isEmpty ? nil : (key, value)
  }

  /// Changes the request, in Envoy's order: headers that are set, that are appended, that are removed, then the query. True when anything was asked
  /// for. `ok` was found sound.
  private func apply(_ ok: ByteView, to head: MessageHead) -> Bool {
    var changed = false
    for step: UInt64 in [0, 1, 5, 7, 8] {
      var reader = WireReader(ok)
      while let field = reader.next() {
        switch (step, field.number) {
        case (0, 2):
          changed = true
          if let option = HeaderOption(field.bytes), option.append != true, !option.frames {
            set(option, in: head)
          }
        case (1, 2):
          if let option = HeaderOption(field.bytes), option.append == true, !option.frames {
            append(option, to: head)
          }
        case (5, 5):
          changed = true
          Self.remove(field.bytes, from: head)
        case (7, 7):
          changed = true
          guard let parameter = Self.parameter(field.bytes) else { continue }
          let mutation = QueryMutation(
            action: .overwrite, key: head.copy(parameter.key), value: head.copy(parameter.value))
          head.path = mutation.applied(to: head.path, in: head)
        case (8, 8):
          changed = true
          head.path = QueryMutation(action: .remove, key: field.bytes, value: .empty).applied(to: head.path, in: head)
        default: break
        }
      }
    }
    return changed
  }

  private func set(_ option: HeaderOption, in head: MessageHead) {
    let value = head.copy(option.value)
    if option.name.first == UInt8(ascii: ":") {
      if option.name.equals(":path") { head.path = value }
      if option.name.equals(":authority") { head.authority = value }
      if option.name.equals(":scheme") { head.scheme = value }
      if option.name.equals(":method") { head.setMethod(value) }
    } else if option.name.equalsIgnoringCase("host") {
      head.authority = value
    } else {
      head.set(named: head.lowercased(head.copy(option.name)), value)
    }
  }

  /// Adds to a header that is there, and to none else.
  private func append(_ option: HeaderOption, to head: MessageHead) {
    guard let old = head.joinedValue(named: option.name) else { return }
    let value = head.concatenate(head.concatenate(old, ByteView(",")), option.value)
    head.set(named: head.lowercased(head.copy(option.name)), value)
  }

  /// Without the host, or what else makes it one, a request would be none.
  static func remove(_ name: ByteView, from head: MessageHead) {
    if name.first == UInt8(ascii: ":") || name.equalsIgnoringCase("host") { return }
    head.remove(named: name)
  }

  private mutating func keepChanges(_ ok: ByteView, _ x: borrowing FilterCall<Config>) {
    changes = x.keep { buffer in
      var reader = WireReader(ok)
      while let field = reader.next() {
        guard field.number == 6, let option = HeaderOption(field.bytes), !option.frames else { continue }
        let action = option.append.map { $0 ? .append : .overwrite } ?? option.action
        ResponseChange.write(action, option.name, option.value, to: &buffer)
      }
    }
  }
}
