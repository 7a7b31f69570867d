// Fuzzes HPACK: arbitrary blocks must not crash and must stay within bounds; what the encoder makes of decoded fields must
// decode to the same fields.

import WeftBase

@testable import WeftHTTP

/// One input; traps when a promise is broken.
func checkHPACK(_ bytes: [UInt8]) {
  guard bytes.count > 1 else { return }
  let tableSizes = [0, 64, 300, 4096]
  var decoder = HPACKDecoder(tableSize: tableSizes[Int(bytes[0] & 3)])
  var encoder = HPACKEncoder(tableSize: tableSizes[Int(bytes[0] >> 2 & 3)])
  var mirror = HPACKDecoder(tableSize: 4096)
  let scratch = HeadScratch()
  let second = HeadScratch()
  // Blocks are divided by a byte that starts no field of a well-formed block often.
  let content = Array(bytes.dropFirst())
  for part in content.split(separator: 0x3f) {
    let block = Array(part)
    let ok = block.withByteView { view -> Bool in
      scratch.head.reset()
      second.head.reset()
      decoder.begin()
      mirror.begin()
      var rest = view
      var output = ByteBuffer()
      var fields: [HPACKField] = []
      do throws(HPACKError) {
        while let field = try decoder.next(&rest, scratch: scratch.head) {
          fields.append(field)
          if fields.count > 500 { return false }
        }
      } catch { return false }
      encoder.begin(&output)
      for field in fields {
        encoder.field(
          name: field.name, value: field.value, id: field.pseudo == .none ? HeaderName.find(field.name) : .other,
          neverIndexed: field.neverIndexed, &output)
      }
      var again = output.view
      for field in fields {
        do throws(HPACKError) {
          guard let copy = try mirror.next(&again, scratch: second.head) else { fatalError("a field is missing") }
          precondition(copy.name.equalsIgnoringCase(field.name) && copy.value.equals(field.value), "a field changed")
        } catch { fatalError("wrote what it does not read") }
      }
      return true
    }
    if !ok { return }
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkHPACK(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
