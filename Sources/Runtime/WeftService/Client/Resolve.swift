import WeftBase
import WeftRuntime

extension LoopCore {
  func resolve(_ host: String, port: UInt16, _ done: @escaping (Result<SocketAddress, ServiceError>) -> Void) {
    done(.failure(.connectFailed("cannot resolve \(host)")))
  }
}
