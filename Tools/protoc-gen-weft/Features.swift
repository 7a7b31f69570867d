// The editions features that change generated code, with the values that proto2 and proto3 stand for.
internal import WeftProtobuf

struct Features {
  enum Presence: Int32 { case explicit = 1, implicit = 2, required = 3 }

  var presence: Presence
  var closedEnums: Bool
  var packed: Bool
  var delimited = false

  init(file: Google_Protobuf_FileDescriptorProto) {
    switch (file.syntax, file.edition) {
    case ("editions", 998): self.init(proto3: false)
    case ("editions", 1000...): self.init(edition2023: ())
    case ("proto3", _), ("editions", _): self.init(proto3: true)
    default: self.init(proto3: false)
    }
    override(file.options?.features)
  }

  private init(edition2023: Void) {
    presence = .explicit
    closedEnums = false
    packed = true
  }

  private init(proto3: Bool) {
    presence = proto3 ? .implicit : .explicit
    closedEnums = !proto3
    packed = proto3
  }

  mutating func override(_ set: Google_Protobuf_FeatureSet?) {
    guard let set else { return }
    if let p = Presence(rawValue: set.fieldPresence) { presence = p }
    if set.enumType != 0 { closedEnums = set.enumType == 2 }
    if set.repeatedFieldEncoding != 0 { packed = set.repeatedFieldEncoding == 1 }
    if set.messageEncoding != 0 { delimited = set.messageEncoding == 2 }
  }

  func overridden(_ set: Google_Protobuf_FeatureSet?) -> Features {
    var copy = self
    copy.override(set)
    return copy
  }
}
