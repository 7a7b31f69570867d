// WeftXDS: the way from Envoy's messages to Weft's own model.
//
// Owns      Convert/: messages → WeftModel, with typed errors, field paths and warnings.
// Never     does I/O, keeps a stream, or decides what is in force. Nobody else in the data plane looks into Envoy's
//           messages.
// Neighbours below: WeftXDSMessages, WeftProtobuf, WeftModel. Above: WeftProxy (bootstrap, discovery client).
// Threads   none; values, and a `Converter` that belongs to one conversion.
