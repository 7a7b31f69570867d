package import WeftControlAPI

/// One committed change.
package struct StoreEvent: Sendable, Equatable {
  package enum Change: String, Sendable {
    case added = "ADDED"
    case modified = "MODIFIED"
    case deleted = "DELETED"
  }

  package var revision: UInt64
  package var change: Change
  /// The object after the change; for a deletion its last state.
  package var object: Envelope
  package var time: WallTime
  /// Who asked for it.
  package var actor: String
}

/// What a write requires of the object's present state.
package enum WritePrecondition: Sendable, Equatable {
  case none
  case absent
  case exists
  case resourceVersion(UInt64)
}

/// Circumstances of a write: who, when, on whose behalf.
package struct WriteContext: Sendable {
  package var source: String
  package var actor: String
  package var now: WallTime
  /// Given to an object that this write creates.
  package var uid: @Sendable () -> String
  /// Takes a creation time from the object's metadata when the write creates it (mirrored sources, restores).
  package var keepsCreationTime: Bool
  /// May change objects of other sources, and takes them over.
  package var takesOver: Bool

  package init(
    source: String = Envelope.apiSource, actor: String = "", now: WallTime, keepsCreationTime: Bool = false,
    takesOver: Bool = false, uid: @escaping @Sendable () -> String = { ObjectUID.random() }
  ) {
    self.source = source
    self.actor = actor
    self.now = now
    self.keepsCreationTime = keepsCreationTime
    self.takesOver = takesOver
    self.uid = uid
  }
}

package enum ObjectUID {
  /// A random UUID (version 4).
  package static func random() -> String {
    var generator = SystemRandomNumberGenerator()
    var high: UInt64 = generator.next()
    var low: UInt64 = generator.next()
    high = high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
    low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    let digits = hex(high) + hex(low)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index == 8 || index == 12 || index == 16 || index == 20 { text += "-" }
      text.append(digit)
    }
    return text
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// What a write did.
package struct WriteOutcome: Sendable, Equatable {
  package enum Effect: String, Sendable {
    case created
    case configured
    case unchanged
    case deleted
  }

  package var effect: Effect
  package var object: Envelope
}
