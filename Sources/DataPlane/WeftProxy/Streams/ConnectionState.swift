// ConnectionState: what filters keep as long as a client's connection lives.

import WeftBase
package import WeftProxyAPI

/// The numbers of one connection, by use. Frees them with itself.
@safe
final class ConnectionState {
  /// Uses that one connection has room for: each filter with a state per connection is one, in each configuration the connection has met.
  static var mostUses: Int { 64 }
  private var uses: [(key: UInt64, cells: UnsafeMutableBufferPointer<UInt64>)] = unsafe []

  deinit { for i in unsafe uses.indices { unsafe uses[i].cells.deallocate() } }

  func cells(_ key: UInt64, _ count: Int) -> ConnectionCells? {
    for i in unsafe uses.indices where unsafe uses[i].key == key && uses[i].cells.count == count {
      return unsafe uses[i].cells.baseAddress.map { unsafe ConnectionCells($0, count: count) }
    }
    guard count > 0, unsafe uses.count < Self.mostUses else { return nil }
    let cells = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: count)
    unsafe cells.initialize(repeating: 0)
    unsafe uses.append((key, cells))
    return unsafe cells.baseAddress.map { unsafe ConnectionCells($0, count: count) }
  }
}

extension WorkerEngine {
  package static func _connectionCells(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ key: UInt64, _ count: Int
  ) -> ConnectionCells? {
    unsafe lend(engine) { own in
      let d = own.streams[stream].downstream.index
      if let state = own.connectionStates[][d] { return state.cells(key, count) }
      let state = ConnectionState()
      own.connectionStates[][d] = state
      return state.cells(key, count)
    }
  }
}
