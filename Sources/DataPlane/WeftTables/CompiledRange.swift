package import WeftModel
package import WeftRuntime

/// A range of addresses in compiled form.
package struct CompiledRange: BitwiseCopyable {
  let network: IPAddress
  let prefixLength: Int

  package init?(_ range: CIDRRange) {
    func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    switch range.bytes.count {
    case 4: network = IPAddress(v4: UInt32(truncatingIfNeeded: number(range.bytes[...])))
    case 16: network = IPAddress(v6High: number(range.bytes[..<8]), low: number(range.bytes[8...]))
    default: return nil
    }
    prefixLength = Int(range.prefixLength)
  }

  package func contains(_ address: IPAddress) -> Bool { address.isInside(network, prefixLength: prefixLength) }
}
