// SystemResolver: c-ares on the loop's own poller.

import CAres
import Glibc
package import WeftBase

/// How to ask.
package struct ResolverConfiguration: Hashable, Sendable {
  /// Servers asked instead of those in resolv.conf.
  package var servers: [SocketAddress] = []
  /// Wait for the first try; later ones wait longer.
  package var timeout = Duration.seconds(2)
  package var tries = 3
  /// Ask over TCP.
  package var usesTCP = false
  /// Whether search domains of resolv.conf are tried for names with few dots.
  package var searches = true

  package init() {}
}

/// `Resolver` over c-ares: reads resolv.conf and the hosts file, asks by UDP, falls back to TCP.
///
/// *Limits*: at most 1,024 questions under way; more are refused.
/// *Cost*: cold path; a few allocations per question.
///
/// Why sound: the channel lives from `init` to `deinit`; every pending `Query` is retained until c-ares has called back, which
/// `ares_destroy` does for all that are left.
@safe
package final class SystemResolver: Resolver {
  package static let maximumQueries = 1_024

  private final class Query {
    unowned let resolver: SystemResolver
    let number: UInt64
    let question: DNSQuestion
    let done: (Result<DNSAnswer, WeftError>) -> Void
    init(
      _ resolver: SystemResolver, _ number: UInt64, _ question: DNSQuestion,
      _ done: @escaping (Result<DNSAnswer, WeftError>) -> Void
    ) {
      self.resolver = resolver
      self.number = number
      self.question = question
      self.done = done
    }
  }

  private let loop: EventLoop
  private var channel: ares_channel?
  private var pending: [UInt64: Query] = [:]
  private var next: UInt64 = 1
  /// Questions that c-ares has not answered: those whose askers gave up are among them, for it goes on asking.
  private var asked = 0
  private var timer: LoopTask?
  private var isEnding = false

  /// *Errors*: c-ares cannot start (a resolv.conf that cannot be read, no memory).
  package init(_ loop: EventLoop, _ configuration: ResolverConfiguration = ResolverConfiguration())
    throws(WeftError)
  {
    self.loop = loop
    unsafe channel = nil
    var status = ares_library_init(ARES_LIB_INIT_ALL)
    guard status == ARES_SUCCESS else { throw Self.error(status, "c-ares") }
    var options = unsafe ares_options()
    unsafe options.timeout = Int32(clamping: configuration.timeout.wholeMilliseconds)
    unsafe options.tries = Int32(clamping: max(1, configuration.tries))
    let mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS
    unsafe options.flags =
      (configuration.usesTCP ? ARES_FLAG_USEVC : 0)
      | (configuration.searches ? 0 : ARES_FLAG_NOSEARCH)
    unsafe options.sock_state_cb = { raw, descriptor, readable, writable in
      guard let raw = unsafe raw else { return }
      unsafe Unmanaged<SystemResolver>.fromOpaque(raw).takeUnretainedValue()
        .watch(descriptor, readable: readable != 0, writable: writable != 0)
    }
    unsafe options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
    status = unsafe ares_init_options(&channel, &options, mask)
    guard status == ARES_SUCCESS else { throw Self.error(status, "c-ares") }
    if !configuration.servers.isEmpty {
      status = unsafe ares_set_servers_ports_csv(
        channel, configuration.servers.map(\.description).joined(separator: ","))
      guard status == ARES_SUCCESS else { throw Self.error(status, "DNS servers") }
    }
  }

  deinit {
    isEnding = true
    if let timer { loop.cancel(timer) }
    if let channel = unsafe channel { unsafe ares_destroy(channel) }
    ares_library_cleanup()
  }

  @discardableResult
  package func resolve(
    _ question: DNSQuestion, _ done: @escaping (Result<DNSAnswer, WeftError>) -> Void
  ) -> DNSQueryID {
    let number = next
    next += 1
    let query = Query(self, number, question, done)
    pending[number] = query
    if let refusal = refusal(of: question) {
      finish(query, .failure(refusal))
      return DNSQueryID(number: number)
    }
    asked += 1
    let raw = unsafe Unmanaged.passRetained(query).toOpaque()
    if question.kind == .service {
      unsafe ares_query(
        channel, question.name, 1, 33,
        { raw, status, _, bytes, count in
          guard let raw = unsafe raw else { return }
          let query = unsafe Unmanaged<Query>.fromOpaque(raw).takeRetainedValue()
          let message =
            unsafe bytes.map { unsafe ByteView(UnsafeRawPointer($0), count: Int(max(0, count))) }
            ?? .empty
          SystemResolver.answered(query, status) { DNSMessage.services(in: message) }
        }, raw)
    } else {
      var hints = ares_addrinfo_hints()
      let family =
        switch question.kind {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        default: AF_UNSPEC
        }
      hints.ai_family = family
      hints.ai_flags = ARES_AI_NOSORT
      unsafe ares_getaddrinfo(
        channel, question.name, nil, &hints,
        { raw, status, _, result in
          guard let raw = unsafe raw else { return }
          let query = unsafe Unmanaged<Query>.fromOpaque(raw).takeRetainedValue()
          SystemResolver.answered(query, status) { unsafe SystemResolver.answer(result) }
          if let result = unsafe result { unsafe ares_freeaddrinfo(result) }
        }, raw)
    }
    armTimer()
    return DNSQueryID(number: number)
  }

  package func cancel(_ id: DNSQueryID) { pending[id.number] = nil }

  private func refusal(of question: DNSQuestion) -> WeftError? {
    if asked >= Self.maximumQueries {
      return WeftError(.limitReached, "more than \(Self.maximumQueries) DNS questions under way")
    }
    let name = question.name.utf8
    if name.isEmpty || name.count > 255 || name.contains(0) {
      return WeftError(.invalidInput, "'\(question.name)' is no host name")
    }
    return nil
  }

  private static func answered(_ query: Query, _ status: Int32, _ read: () -> DNSAnswer?) {
    // While the resolver is being dropped nobody waits any more.
    if status == ARES_EDESTRUCTION { return }
    let resolver = query.resolver
    resolver.asked -= 1
    guard status == ARES_SUCCESS else {
      return resolver.finish(query, .failure(error(status, query.question.name)))
    }
    guard let answer = read() else {
      return resolver.finish(
        query, .failure(WeftError(.dns, "\(query.question.name): malformed answer")))
    }
    if answer.addresses.isEmpty, answer.services.isEmpty {
      return resolver.finish(
        query, .failure(WeftError(.notFound, "\(query.question.name): no record")))
    }
    resolver.finish(query, .success(answer))
  }

  /// Tells the asker in the loop's next turn: c-ares may answer inside `resolve`.
  private func finish(_ query: Query, _ result: Result<DNSAnswer, WeftError>) {
    if isEnding { return }
    loop.schedule(after: .zero) { [weak self] in
      guard let self, pending.removeValue(forKey: query.number) != nil else { return }
      query.done(result)
    }
  }

  @unsafe private static func answer(_ result: UnsafeMutablePointer<ares_addrinfo>?) -> DNSAnswer? {
    guard let result = unsafe result else { return nil }
    var answer = DNSAnswer(timeToLive: .zero)
    var smallest = Int32.max
    var node = unsafe result.pointee.nodes
    while let current = unsafe node {
      let length = unsafe UInt32(current.pointee.ai_addrlen)
      if let address = unsafe current.pointee.ai_addr, length <= AddressBytes.capacity {
        let bytes = AddressBytes()
        unsafe memcpy(bytes.base, address, Int(length))
        answer.addresses.append(bytes.read(length).ip)
        smallest = unsafe min(smallest, current.pointee.ai_ttl)
      }
      unsafe node = current.pointee.ai_next
    }
    if smallest != .max { answer.timeToLive = .seconds(Int64(max(0, smallest))) }
    return answer
  }

  private static func error(_ status: Int32, _ name: String) -> WeftError {
    let text = unsafe ares_strerror(status).map { unsafe String(cString: $0) } ?? "error \(status)"
    let code: WeftError.Code =
      switch status {
      case ARES_ENOTFOUND, ARES_ENODATA: .notFound
      case ARES_ETIMEOUT: .timedOut
      default: .dns
      }
    return WeftError(code, "\(name): \(text)")
  }

  // MARK: The loop's side

  private func watch(_ descriptor: Int32, readable: Bool, writable: Bool) {
    var interest = DriverEvent.Flags()
    if readable { interest.insert(.readable) }
    if writable { interest.insert(.writable) }
    if interest.isEmpty {
      loop.unwatch(descriptor)
      return
    }
    // A descriptor that cannot be watched shows as a time-out of its question.
    try? loop.watch(descriptor, interest) { [unowned self] flags in
      let failed = !flags.isDisjoint(with: [.hangup, .error])
      process(
        read: failed || flags.contains(.readable) ? descriptor : -1,
        write: flags.contains(.writable) ? descriptor : -1)
    }
  }

  private func process(read: Int32, write: Int32) {
    guard let channel = unsafe channel else { return }
    unsafe ares_process_fd(channel, read, write)
    armTimer()
  }

  /// c-ares needs a call when its next try is due.
  private func armTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
    guard let channel = unsafe channel else { return }
    var wait = timeval()
    guard unsafe ares_timeout(channel, nil, &wait) != nil else { return }
    let delay = Duration.seconds(Int64(wait.tv_sec)) + .microseconds(Int64(wait.tv_usec))
    timer = loop.schedule(after: delay + .milliseconds(1)) { [unowned self] in
      timer = nil
      process(read: -1, write: -1)
    }
  }
}
