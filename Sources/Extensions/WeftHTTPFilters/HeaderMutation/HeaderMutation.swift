// Header mutation: adds, replaces and removes fields of heads and trailers, and parameters of the query.

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.header_mutation`.
///
/// The chain's changes come first, then those of every level of the route: from the most specific to the least, so that the least specific has the last
/// word, or the other way round with `most_specific_header_mutations_wins` (Envoy's order).
package struct HeaderMutation: RequestHeadFilter, RequestTrailersFilter, ResponseHeadFilter, ResponseTrailersFilter {
  package static var name: StaticString { "envoy.filters.http.header_mutation" }

  package struct Config: BitwiseCopyable {
    let request: ConstantTable<MutationStep>
    let query: ConstantTable<QueryMutation>
    let requestTrailers: ConstantTable<MutationStep>
    let response: ConstantTable<MutationStep>
    let responseTrailers: ConstantTable<MutationStep>
    /// The head of a request may change.
    let changesRequest: Bool

    init(
      request: ConstantTable<MutationStep>, query: ConstantTable<QueryMutation>,
      requestTrailers: ConstantTable<MutationStep>, response: ConstantTable<MutationStep>,
      responseTrailers: ConstantTable<MutationStep>
    ) {
      self.request = request
      self.query = query
      self.requestTrailers = requestTrailers
      self.response = response
      self.responseTrailers = responseTrailers
      changesRequest = !request.isEmpty || !query.isEmpty
    }
  }

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    if x.config.changesRequest { change(head, x) }
    return .go
  }

  @inline(never)
  private func change(_ head: MessageHead, _ x: borrowing FilterCall<Config>) {
    MutationStep.apply(x.config.request, to: head, isResponse: false, x)
    for i in x.config.query.indices {
      var mutation = x.config.query[i]
      if let made = mutation.made { mutation.value = QueryMutation.escaped(x.value(made, of: head), in: head) }
      head.path = mutation.applied(to: head.path, in: head)
    }
  }

  package mutating func requestTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>) {
    MutationStep.apply(x.config.requestTrailers, to: trailers, isResponse: false, x)
  }

  package mutating func responseHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    if !x.config.response.isEmpty { MutationStep.apply(x.config.response, to: head, isResponse: true, x) }
    return .go
  }

  package mutating func responseTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>) {
    MutationStep.apply(x.config.responseTrailers, to: trailers, isResponse: true, x)
  }
}

/// A run of changes, or the removal of every field whose name matches.
struct MutationStep: BitwiseCopyable {
  var changes = ConstantTable<CompiledHeaderChange>()
  var removes: CompiledStringMatcher?

  @inline(never)
  static func apply(
    _ steps: ConstantTable<MutationStep>, to head: MessageHead, isResponse: Bool,
    _ x: borrowing FilterCall<HeaderMutation.Config>
  ) {
    for i in steps.indices { steps[i].apply(to: head, isResponse: isResponse, x) }
  }

  private func apply(to head: MessageHead, isResponse: Bool, _ x: borrowing FilterCall<HeaderMutation.Config>) {
    guard let removes else { return x.apply(changes, to: head, isResponse: isResponse) }
    for slot in 0..<head.slotCount {
      let field = head.field(at: slot)
      // Names are compared in lower case, as they travel in HTTP/2.
      if !field.flags.contains(.removed), removes.matches(head.lowercased(field.name)) {
        head.remove(named: field.name)
      }
    }
  }
}
