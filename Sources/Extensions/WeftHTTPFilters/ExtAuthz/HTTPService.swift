// HTTPService: the authorization service by plain HTTP: 200 admits, a server's error is a failure, anything else refuses.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTelemetry

extension ExtAuthz {
  /// Lays the question out: the request itself, with the headers that the service may see.
  func askByHTTP(_ head: MessageHead, _ x: borrowing FilterCall<Config>) {
    let content = x.body.prefix(x.config.contentLimit)
    x.writeCallBody { $0.append(content) }
    let call = x.callHead
    // The service is told how much content there is even when there is none.
    call.startRequest(
      head.method, scheme: head.scheme, authority: head.authority, path: head.path, framing: .length(0))
    call.setMethod(head.methodText)
    let prefix = x.config.service.pathPrefix
    if !prefix.isEmpty { call.path = call.concatenate(prefix, head.path) }
    for field in head.fields where field.id != .contentLength {
      if shows(head.lowercased(field.name), x) { call.append(field.id, named: field.name, field.value) }
    }
    if !x.body.isEmpty { call.append(named: ByteView(Self.partialContent), Self.isPartial(content, x.body)) }
    x.apply(x.config.service.headers, to: call, of: head)
  }

  mutating func judgeHTTP(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    let answer = x.answerHead
    if answer.status >= 500 { return failed(head, x) }
    if answer.status != 200 {
      for field in answer.fields where tellsClient(field, x) { x.replyFields.append(named: field.name, field.value) }
      return deny(answer.status, x.answerBody, x)
    }
    let service = x.config.service
    var changed = false
    for field in answer.fields where tellsUpstream(field, service.toUpstream, answer) && field.id == .host {
      guard isTarget(field.value) else { return invalid(x) }
    }
    for field in answer.fields where tellsUpstream(field, service.toUpstream, answer) {
      if field.id == .host {
        head.authority = head.copy(field.value)
      } else {
        head.set(named: head.copy(field.name), head.copy(field.value))
      }
      changed = true
    }
    // Nothing is added to a host.
    for field in answer.fields where tellsUpstream(field, service.addedToUpstream, answer) && field.id != .host {
      head.append(named: head.copy(field.name), head.copy(field.value))
      changed = true
    }
    for field in answer.fields where field.name.equalsIgnoringCase(Self.removedHeaders) {
      changed = remove(named: field.value, from: head) || changed
    }
    changes = x.keep { buffer in
      for field in answer.fields
      where !HeaderNameSet.framing.contains(field.id)
        && service.toClientOnSuccess.anyMatch(answer.lowercased(field.name))
      {
        if field.name.equalsIgnoringCase(Self.removedHeaders) { continue }
        ResponseChange.write(.append, field.name, field.value, to: &buffer)
      }
    }
    return admit(head, changed: changed, x)
  }

  /// Names of headers that the upstream shall not see.
  private static var removedHeaders: StaticString { "x-envoy-auth-headers-to-remove" }

  private func remove(named list: ByteView, from head: MessageHead) -> Bool {
    var rest = list
    var any = false
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.count
      let name = ASCII.trimmed(rest.prefix(end))
      rest = rest.dropFirst(min(rest.count, end + 1))
      if name.isEmpty { continue }
      Self.remove(name, from: head)
      any = true
    }
    return any
  }

  /// Whether a header of an answer that admits goes to the upstream. What frames a message, or is meant for us, never does.
  private func tellsUpstream(
    _ field: HeaderField, _ wanted: ConstantTable<CompiledStringMatcher>, _ answer: MessageHead
  ) -> Bool {
    if HeaderNameSet.framing.contains(field.id) || field.name.equalsIgnoringCase(Self.removedHeaders) { return false }
    return wanted.anyMatch(answer.lowercased(field.name))
  }

  /// Whether a header of a refusal goes to the client. What frames a message never does: the answer is framed anew.
  private func tellsClient(_ field: HeaderField, _ x: borrowing FilterCall<Config>) -> Bool {
    if HeaderNameSet.framing.contains(field.id) || field.id == .host { return false }
    switch field.id {
    // An answer without content has no type of it.
    case .contentType where x.answerBody.isEmpty: return false
    default: break
    }
    if field.name.equalsIgnoringCase(Self.removedHeaders) { return false }
    let wanted = x.config.service.toClient
    if wanted.isEmpty || field.id == .wwwAuthenticate || field.id == .location { return true }
    return wanted.anyMatch(x.answerHead.lowercased(field.name))
  }
}
