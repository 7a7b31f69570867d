// The last good configuration on disk, so that a proxy can start while the control plane is down.
import Glibc
import Synchronization
import WeftBase
import WeftProtobuf
import WeftRuntime
import WeftXDSMessages

/// One file: a magic word, per type a length and a serialised DeltaDiscoveryResponse, and a checksum over all of it.
///
/// Written to a neighbour first and renamed over the old one, so that a reader sees the old or the new, whole.
package struct LastGoodFile: Sendable {
  private static let magic = Array("WEFTXDS1".utf8)
  package static let maximumBytes = 256 << 20

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// Writes everything in `store`. *Errors*: the reason as text.
  package func write(_ store: XDSStore) -> String? {
    var bytes = Self.magic
    for type in XDSType.allCases {
      var message = Envoy_Service_Discovery_V3_DeltaDiscoveryResponse()
      message.typeUrl = type.rawValue
      message.resources = store.resources(type).sorted { $0.key < $1.key }.map { name, entry in
        var resource = Envoy_Service_Discovery_V3_Resource()
        resource.name = name
        resource.version = entry.resource.version
        resource.resource = Google_Protobuf_Any(typeUrl: entry.resource.typeURL, value: entry.resource.value)
        return resource
      }
      let body = message.serialized()
      append(UInt64(body.count), to: &bytes)
      bytes += body
    }
    append(Self.checksum(bytes[...]), to: &bytes)
    return replace(bytes)
  }

  /// Writes on a thread of its own, for as long as that takes: a disk may be slow. *Errors*: the reason as text.
  package func writeAside(_ store: XDSStore) async -> String? {
    final class Aside: Sendable { let worker = Mutex<Worker?>(nil) }
    let aside = Aside()
    let reason: String? = await withCheckedContinuation { continuation in
      let worker = try? Worker(name: "weft-keep") { continuation.resume(returning: self.write(store)) }
      aside.worker.withLock { $0 = worker }
      if worker == nil { continuation.resume(returning: write(store)) }
    }
    aside.worker.withLock { $0 }?.join()
    return reason
  }

  /// What the file holds; nil when there is none. *Errors*: the reason as text; a damaged file is refused whole.
  package func read() -> Result<[XDSType: [XDSResource]]?, LastGoodProblem> {
    guard let file = unsafe fopen(path, "r") else {
      return errno == ENOENT ? .success(nil) : .failure(problem(errno))
    }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
      if count == 0 { break }
      bytes += chunk[..<count]
      guard bytes.count <= Self.maximumBytes else {
        return .failure(LastGoodProblem("is larger than \(Self.maximumBytes) bytes"))
      }
    }
    return Self.parse(bytes)
  }

  static func parse(_ bytes: [UInt8]) -> Result<[XDSType: [XDSResource]]?, LastGoodProblem> {
    guard bytes.count >= magic.count + 8, bytes.starts(with: magic) else {
      return .failure(LastGoodProblem("is not a last-good file"))
    }
    let end = bytes.count - 8
    guard checksum(bytes[..<end]) == number(bytes[end...]) else { return .failure(LastGoodProblem("is damaged")) }
    var result: [XDSType: [XDSResource]] = [:]
    var at = magic.count
    while at < end {
      guard end - at >= 8 else { return .failure(LastGoodProblem("is damaged")) }
      let length = number(bytes[at..<at + 8])
      at += 8
      guard length <= UInt64(end - at) else { return .failure(LastGoodProblem("is damaged")) }
      let body = Array(bytes[at..<at + Int(length)])
      at += Int(length)
      guard let message = try? Envoy_Service_Discovery_V3_DeltaDiscoveryResponse(serialized: body) else {
        return .failure(LastGoodProblem("is damaged"))
      }
      if let type = XDSType(rawValue: message.typeUrl) { result[type] = XDSResponse(message).resources }
    }
    return .success(result)
  }

  private func replace(_ bytes: [UInt8]) -> String? {
    let temporary = "\(path).new"
    guard let file = unsafe fopen(temporary, "w") else { return problem(errno).description }
    let written = unsafe bytes.withUnsafeBytes { unsafe fwrite($0.baseAddress, 1, $0.count, file) }
    let flushed = unsafe fflush(file) == 0 && fsync(fileno(file)) == 0
    let closed = unsafe fclose(file) == 0
    guard written == bytes.count, flushed, closed else { return problem(errno).description }
    return unsafe rename(temporary, path) == 0 ? nil : problem(errno).description
  }

  private func problem(_ code: Int32) -> LastGoodProblem {
    LastGoodProblem(unsafe String(cString: strerror(code)))
  }

  private func append(_ value: UInt64, to bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// FNV-1a, 64 bits: finds torn and damaged files, proves nothing against an attacker. *Source*: draft-eastlake-fnv.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}

/// Why a last-good file cannot be used or written.
package struct LastGoodProblem: Error, Sendable, CustomStringConvertible {
  package var description: String

  init(_ description: String) {
    self.description = description
  }
}
