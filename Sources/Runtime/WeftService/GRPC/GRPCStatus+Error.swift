import WeftGRPC

extension GRPCStatus {
  /// The status that stands for any error of an exchange or a handler.
  init(of error: any Error) {
    switch error {
    case let status as GRPCStatus: self = status
    case let error as ServiceError: self.init(service: error)
    case is CancellationError: self.init(.cancelled, "cancelled")
    default: self.init(.unknown, "\(error)")
    }
  }

  private init(service error: ServiceError) {
    switch error {
    case .deadlineExceeded: self.init(.deadlineExceeded, error.description)
    case .cancelled: self.init(.cancelled, error.description)
    case .connectFailed, .connectionClosed, .refused, .shutDown: self.init(.unavailable, error.description)
    case .streamReset(let code): self.init(resetCode: code)
    case .limitExceeded: self.init(.resourceExhausted, error.description)
    case .protocolViolation: self.init(.internalError, error.description)
    }
  }
}
