import WeftBase
import WeftRuntime

extension LoopCore {
  /// Looks a host name up. The first address wins: IPv4 before IPv6, as loopback-first programs expect.
  func resolve(_ host: String, port: UInt16, _ done: @escaping (Result<SocketAddress, ServiceError>) -> Void) {
    let resolver: any Resolver
    do { resolver = try self.resolver() } catch { return done(.failure(.connectFailed("\(host): \(error)"))) }
    resolver.resolve(DNSQuestion(host)) { result in
      switch result {
      case .success(let answer):
        let chosen = answer.addresses.first { $0.family == .v4 } ?? answer.addresses.first
        guard let chosen else { return done(.failure(.connectFailed("\(host) has no address"))) }
        done(.success(SocketAddress(chosen, port: port)))
      case .failure(let error): done(.failure(.connectFailed("\(host): \(error)")))
      }
    }
  }
}
