/// Carries a reference to a loop's object through other threads, which may hold it but not look inside.
///
/// Why sound: `value` is read only in work posted to the loop that made it, and the object is released there or after the
/// loop has ended.
struct LoopBound<Object: AnyObject>: @unchecked Sendable {
  private let object: Object

  init(_ object: Object) { self.object = object }

  /// For loop callbacks only.
  var value: Object { object }
}
