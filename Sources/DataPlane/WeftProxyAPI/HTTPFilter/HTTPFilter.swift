// HTTPFilter: what the author of a filter writes.
//
// A filter is a struct: its fields are its state for one stream, its `Config` is what its configuration compiled to. It conforms to one protocol
// per event it takes; events it does not take cost nothing. Both types are `BitwiseCopyable`, so the compiler refuses a class, array, string or
// closure in them: no request can retain, release, or meet an exclusivity check. A worked example stands in docs/adding/http-filter.md.
//
// *Order*: request events run the chain from the first filter to the last, response events from the last to the first. *Threads*: the worker's.

public import WeftBase
public import WeftHTTP
package import WeftModel

/// What becomes of an event. One byte: what a reply says or a hold waits for lies on the desk (a payload here costs 17 instructions a call).
@frozen @usableFromInline
package enum FilterVerdict: UInt8, BitwiseCopyable, Sendable {
  /// The next filter's turn.
  case go
  /// The next filter's turn, after the route was found anew: something was changed that it depends on. Of a request's head; otherwise it is *go*.
  case reroute
  /// The stream rests until what was asked for has come (`FilterCall.ask`, `wait`, `readBody`).
  case hold
  /// The request is answered here (`FilterCall.reply`).
  case reply
  /// The stream ends without an answer: RST_STREAM, or the connection's end in HTTP/1.
  case reset
}

/// The messages that configure a filter.
@usableFromInline
package struct FilterMessages: Sendable {
  /// In the chain.
  package let chain: String
  /// In routes (`typed_per_filter_config`); nil when routes cannot configure it.
  package let route: String?

  package init(chain: String, route: String? = nil) {
    self.chain = chain
    self.route = route
  }
}

/// What one use of a filter was configured with.
@usableFromInline
package struct FilterSource: Sendable {
  /// The chain's message.
  package var chain: ExtensionConfig
  /// What routes say, from the least specific level to the most: route table, virtual host, route, weighted cluster. Empty for the chain itself.
  package var overrides: [ExtensionConfig] = []

  package init(chain: ExtensionConfig, overrides: [ExtensionConfig] = []) {
    self.chain = chain
    self.overrides = overrides
  }
}

/// An HTTP filter: its configuration and its state before the first event.
@usableFromInline
package protocol HTTPFilter: BitwiseCopyable, SendableMetatype {
  associatedtype Config: BitwiseCopyable
  /// Envoy's canonical name: `envoy.filters.http.fault`.
  static var name: StaticString { get }
  static var messages: FilterMessages { get }
  /// Cold: checks and compiles what was configured, for a chain or for a route. *Errors*: the field's path inside the message that is wrong, and what
  /// is allowed there.
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config
  /// The state before the first event. Asked once per chain and copied into every stream's block.
  init(_ config: Config)
}

/// Sees the request's head before it is routed. `end`: nothing follows.
@usableFromInline
package protocol RequestHeadFilter: HTTPFilter {
  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict
}

/// Sees the request's content as it comes, after every filter has seen the head; `end`: nothing follows, which may be told with no bytes, and is not told
/// where trailers follow. It changes nothing. It may answer in the upstream's place while no response has begun, or reset; to hold, it reads the content
/// from the head on (`FilterCall.readBody`).
@usableFromInline
package protocol RequestDataFilter: HTTPFilter {
  mutating func requestData(_ data: ByteView, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict
}

/// Sees the request's trailers before they are kept for the upstream. It cannot hold them.
@usableFromInline
package protocol RequestTrailersFilter: HTTPFilter {
  mutating func requestTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>)
}

/// Sees the final response head, an upstream's or one made here. It may replace it by a reply while nothing was sent. It may hold an upstream's answer
/// (`FilterCall.wait`, `ask`) that is neither a tunnel nor a codec's message; of others a hold counts as *go*.
@usableFromInline
package protocol ResponseHeadFilter: HTTPFilter {
  mutating func responseHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict
}

/// Sees the response's content as it comes, as `RequestDataFilter` does the request's. The head was passed on: it can only reset.
@usableFromInline
package protocol ResponseDataFilter: HTTPFilter {
  mutating func responseData(_ data: ByteView, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict
}

/// Sees the response's trailers.
@usableFromInline
package protocol ResponseTrailersFilter: HTTPFilter {
  mutating func responseTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>)
}

/// Wants to see the answer it was held for. Without it, any answer lets the stream go on.
@usableFromInline
package protocol HoldingFilter: HTTPFilter {
  /// `head` is the request's, as it was when the filter held it.
  mutating func resumed(_ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict
}

/// Wants to see the answer it held a response for. Without it, any answer lets the response go on.
@usableFromInline
package protocol ResponseHoldingFilter: HTTPFilter {
  /// `head` is the response's, as it was when the filter held it.
  mutating func responseResumed(
    _ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict
}

/// Hears of the end of each stream for which it has asked to (`FilterCall.hearEnd`): to give back what it counted.
@usableFromInline
package protocol StreamEndFilter: HTTPFilter {
  mutating func streamEnded(_ x: borrowing FilterCall<Config>)
}

// The engine's way in: the metatype is opened where it is called, and the author's method is reached through the filter's own witness table, with the
// state where it lies. All of it disappears into the walk. What is not inlined here asks for the metadata of `Config` at every call, eight times the
// price: hence `@inline(__always)`, and a transparent initialiser of `FilterCall`.
extension RequestHeadFilter {
  @inlinable @inline(__always)
  package static func _requestHead(_ at: FilterSite, _ head: MessageHead, _ end: Bool) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.requestHead(head, end: end, FilterCall(at))
  }
}
extension RequestDataFilter {
  @inlinable @inline(__always)
  package static func _requestData(_ at: FilterSite, _ data: ByteView, _ end: Bool) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.requestData(data, end: end, FilterCall(at))
  }
}
extension RequestTrailersFilter {
  @inlinable @inline(__always)
  package static func _requestTrailers(_ at: FilterSite, _ trailers: MessageHead) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.requestTrailers(trailers, FilterCall(at))
  }
}
extension ResponseHeadFilter {
  @inlinable @inline(__always)
  package static func _responseHead(_ at: FilterSite, _ head: MessageHead, _ end: Bool) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.responseHead(head, end: end, FilterCall(at))
  }
}
extension ResponseDataFilter {
  @inlinable @inline(__always)
  package static func _responseData(_ at: FilterSite, _ data: ByteView, _ end: Bool) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.responseData(data, end: end, FilterCall(at))
  }
}
extension ResponseTrailersFilter {
  @inlinable @inline(__always)
  package static func _responseTrailers(_ at: FilterSite, _ trailers: MessageHead) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.responseTrailers(trailers, FilterCall(at))
  }
}
extension HoldingFilter {
  @inlinable @inline(__always)
  package static func _resumed(_ at: FilterSite, _ answer: HoldAnswer, _ head: MessageHead) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.resumed(answer, head, FilterCall(at))
  }
}
extension ResponseHoldingFilter {
  @inlinable @inline(__always)
  package static func _responseResumed(_ at: FilterSite, _ answer: HoldAnswer, _ head: MessageHead) -> FilterVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.responseResumed(answer, head, FilterCall(at))
  }
}
extension StreamEndFilter {
  @inlinable @inline(__always)
  package static func _streamEnded(_ at: FilterSite) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.streamEnded(FilterCall(at))
  }
}
