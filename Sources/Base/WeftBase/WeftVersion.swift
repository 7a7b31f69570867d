/// The version of this build; every program of Weft reports the same one.
package enum WeftVersion {
  package static let text = "0.1.0"
}
