import WeftHTTP

/// The loop's side of one `HTTPClient`: a pool per address, plaintext and TLS apart.
final class ClientPools {
  private struct Key: Hashable {
    let address: ServiceAddress
    let isSecure: Bool
  }

  private let core: LoopCore
  private let configuration: HTTPClientConfiguration
  private let backoff: GRPCBackoff?
  private var pools: [Key: AddressPool] = [:]
  private var isClosed = false

  init(core: LoopCore, configuration: HTTPClientConfiguration, backoff: GRPCBackoff?) {
    self.core = core
    self.configuration = configuration
    self.backoff = backoff
  }

  /// *Errors*: `WeftError` when the TLS material cannot be used.
  func pool(for address: ServiceAddress, isSecure: Bool) throws -> AddressPool {
    let key = Key(address: address, isSecure: isSecure)
    if let pool = pools[key] { return pool }
    var tls: ClientTransport?
    if isSecure, let material = configuration.tls {
      tls = try ClientTransport(material, to: address, protocols: configuration.protocols)
    }
    let pool = AddressPool(core: core, address: address, configuration: configuration, tls: tls, backoff: backoff)
    pools[key] = pool
    if isClosed { pool.close {} }
    return pool
  }

  /// Ends everything; `waiter` is resumed when no connection is left.
  func close(_ waiter: CheckedContinuation<Void, Never>?) {
    isClosed = true
    var open = pools.count
    guard open > 0 else {
      waiter?.resume()
      return
    }
    for pool in pools.values {
      pool.close {
        open -= 1
        if open == 0 { waiter?.resume() }
      }
    }
  }
}
