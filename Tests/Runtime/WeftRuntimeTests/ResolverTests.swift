import Glibc
import Testing
import WeftBase
import WeftRuntime

/// A DNS server on loopback, served by the same loop as its client.
private final class NameServer {
  let descriptor: Int32
  let address: SocketAddress
  private(set) var questions: [String] = []
  private let loop: EventLoop

  init(_ loop: EventLoop) throws {
    self.loop = loop
    descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var local = sockaddr_in()
    local.sin_family = sa_family_t(AF_INET)
    local.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let bound = unsafe withUnsafeMutablePointer(to: &local) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    try #require(bound)
    address = .loopback(port: UInt16(bigEndian: local.sin_port))
    try loop.watch(descriptor, .readable) { [unowned self] _ in serve() }
  }

  deinit {
    loop.unwatch(descriptor)
    close(descriptor)
  }

  private func serve() {
    var query = [UInt8](repeating: 0, count: 512)
    var from = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    while true {
      let n = unsafe withUnsafeMutablePointer(to: &from) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe recvfrom(descriptor, &query, query.count, 0, $0, &size)
        }
      }
      if n <= 0 { return }
      guard let reply = answer(Array(query[..<n])) else { continue }
      _ = unsafe withUnsafePointer(to: &from) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe sendto(descriptor, reply, reply.count, 0, $0, size)
        }
      }
    }
  }

  private func answer(_ query: [UInt8]) -> [UInt8]? {
    var name: [String] = []
    var at = 12
    while query[at] != 0 {
      name.append(String(decoding: query[at + 1...at + Int(query[at])], as: UTF8.self))
      at += 1 + Int(query[at])
    }
    let type = Int(query[at + 2])
    let host = name.joined(separator: ".")
    questions.append("\(host)/\(type)")
    let question = Array(query[12..<at + 5])
    func reply(_ records: [[UInt8]], code: UInt8 = 0) -> [UInt8] {
      Array(query[..<2]) + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + question
        + records.flatMap { $0 }
    }
    /// A record of the question's name (by pointer).
    func record(_ type: UInt8, _ timeToLive: UInt8, _ data: [UInt8]) -> [UInt8] {
      [0xc0, 12, 0, type, 0, 1, 0, 0, 0, timeToLive, 0, UInt8(data.count)] + data
    }
    switch (host, type) {
    case ("a.test", 1): return reply([record(1, 30, [10, 0, 0, 1]), record(1, 20, [10, 0, 0, 2])])
    case ("a.test", 28): return reply([record(28, 40, [0x20, 1] + [UInt8](repeating: 0, count: 13) + [7])])
    case ("_http._tcp.a.test", 33):
      // The target of the first ends in a pointer to "a.test" inside the question.
      return reply([
        record(33, 60, [0, 1, 0, 9, 31, 144, 3] + Array("one".utf8) + [0xc0, 12 + 11]),
        record(33, 50, [0, 2, 0, 5, 0, 80, 3] + Array("two".utf8) + [4] + Array("test".utf8) + [0]),
      ])
    case ("empty.test", _): return reply([])
    case ("loop.test", 33):
      return reply([record(33, 60, [0, 1, 0, 9, 31, 144, 0xc0, UInt8(12 + question.count + 18)])])
    case ("silent.test", _): return nil
    default: return reply([], code: 3)
    }
  }
}

@Suite("resolver")
struct ResolverTests {
  private func resolve(_ questions: [DNSQuestion]) throws -> [Result<DNSAnswer, WeftError>] {
    let world = World(.epoll)
    let handler = RecordingHandler()
    let loop = world.makeLoop(handler)
    let server = try NameServer(loop)
    var configuration = ResolverConfiguration()
    configuration.servers = [server.address]
    configuration.timeout = .milliseconds(100)
    configuration.tries = 2
    configuration.searches = false
    let resolver = try SystemResolver(loop, configuration)
    var results = [Result<DNSAnswer, WeftError>?](repeating: nil, count: questions.count)
    var inside = true
    for (index, question) in questions.enumerated() {
      resolver.resolve(question) {
        #expect(!inside, "never answered inside resolve")
        #expect(results[index] == nil, "answered once")
        results[index] = $0
      }
    }
    inside = false
    try #require(world.run { results.allSatisfy { $0 != nil } })
    return results.compactMap { $0 }
  }

  @Test("addresses come with the smallest time to live")
  func addresses() throws {
    let results = try resolve([DNSQuestion("a.test", .ipv4), DNSQuestion("a.test", .ipv6), DNSQuestion("a.test")])
    let v4 = [IPAddress("10.0.0.1"), IPAddress("10.0.0.2")].compactMap { $0 }
    let v6 = [IPAddress("2001::7")].compactMap { $0 }
    #expect(results[0] == .success(DNSAnswer(addresses: v4, timeToLive: .seconds(20))))
    #expect(results[1] == .success(DNSAnswer(addresses: v6, timeToLive: .seconds(40))))
    let both = try results[2].get()
    #expect(Set(both.addresses) == Set(v4 + v6))
    #expect(both.timeToLive == .seconds(20))
  }

  @Test("services come with priority, weight, port, target and time to live")
  func services() throws {
    let results = try resolve([DNSQuestion("_http._tcp.a.test", .service)])
    let services = [
      DNSService(priority: 1, weight: 9, port: 8080, target: "one.a.test"),
      DNSService(priority: 2, weight: 5, port: 80, target: "two.test"),
    ]
    #expect(results[0] == .success(DNSAnswer(services: services, timeToLive: .seconds(50))))
  }

  @Test("what does not resolve says why")
  func failures() throws {
    let questions = [
      DNSQuestion("gone.test", .ipv4), DNSQuestion("empty.test", .ipv4), DNSQuestion("silent.test", .ipv4),
      DNSQuestion("loop.test", .service), DNSQuestion("gone.test", .service), DNSQuestion(""), DNSQuestion("a\0b"),
    ]
    let codes = try resolve(questions).map { result -> WeftError.Code? in
      if case .failure(let error) = result { return error.code }
      return nil
    }
    #expect(codes == [.notFound, .notFound, .timedOut, .dns, .notFound, .invalidInput, .invalidInput])
  }

  @Test("literals and the hosts file need no server")
  func local() throws {
    let results = try resolve([DNSQuestion("127.0.0.7", .ipv4), DNSQuestion("localhost", .ipv4)])
    #expect(try results[0].get().addresses.map(\.description) == ["127.0.0.7"])
    #expect(try results[1].get().addresses.contains(.loopback4))
  }

  @Test("a cancelled question is not answered, and dropping the resolver is safe")
  func cancel() throws {
    let world = World(.epoll)
    let loop = world.makeLoop(RecordingHandler())
    let server = try NameServer(loop)
    var configuration = ResolverConfiguration()
    configuration.servers = [server.address]
    var resolver: SystemResolver? = try SystemResolver(loop, configuration)
    var answered = false
    let id = try #require(resolver?.resolve(DNSQuestion("a.test", .ipv4)) { _ in answered = true })
    resolver?.cancel(id)
    #expect(world.run { !server.questions.isEmpty })
    world.settle()
    #expect(!answered)
    resolver?.resolve(DNSQuestion("silent.test", .ipv4)) { _ in answered = true }
    resolver = nil
    world.settle()
    #expect(!answered)
  }

  @Test("questions whose askers gave up count against the limit for as long as they are asked")
  func limit() throws {
    let world = World(.epoll)
    let loop = world.makeLoop(RecordingHandler())
    let server = try NameServer(loop)
    var configuration = ResolverConfiguration()
    configuration.servers = [server.address]
    let resolver = try SystemResolver(loop, configuration)
    for i in 0..<SystemResolver.maximumQueries {
      resolver.cancel(resolver.resolve(DNSQuestion("silent\(i).silent.test", .service)) { _ in })
    }
    var refused: WeftError.Code?
    resolver.resolve(DNSQuestion("a.test", .ipv4)) { if case .failure(let error) = $0 { refused = error.code } }
    #expect(world.run { refused != nil })
    #expect(refused == .limitReached)
    withExtendedLifetime(server) {}
  }

  @Test("the fake answers from its table after its latency, in virtual time")
  func fake() {
    let world = World(.memory(seed: 1, splits: false))
    let loop = world.makeLoop(RecordingHandler())
    let resolver = FakeResolver(loop)
    let answer = DNSAnswer(addresses: [.loopback4], timeToLive: .seconds(5))
    resolver.answers[DNSQuestion("a")] = .success(answer)
    resolver.latency = .milliseconds(50)
    var results: [Result<DNSAnswer, WeftError>] = []
    resolver.resolve(DNSQuestion("a")) { results.append($0) }
    resolver.resolve(DNSQuestion("b")) { results.append($0) }
    resolver.cancel(resolver.resolve(DNSQuestion("a")) { results.append($0) })
    world.advance(by: .milliseconds(40))
    #expect(results.isEmpty)
    world.advance(by: .milliseconds(20))
    #expect(results.count == 2)
    #expect(results.first == .success(answer))
    if case .failure(let error) = results.last {
      #expect(error.code == .notFound)
    } else {
      Issue.record("b was answered")
    }
    #expect(resolver.asked.count == 3)
  }
}
