// weft-proxy: parse, compose, run.

import Glibc
import WeftAccessLogs
import WeftBase
import WeftCompile
import WeftHTTPFilters
import WeftListenerFilters
import WeftLoadBalancers
import WeftModel
import WeftNetworkFilters
import WeftProtocols
import WeftProxy
import WeftProxyAPI
import WeftProxyControl
import WeftRuntime
import WeftTelemetry
import WeftUpstream
import WeftXDSClient

exit(WeftProxyProgram.run(Array(CommandLine.arguments.dropFirst())))

enum WeftProxyProgram {
  /// What this proxy can be configured with beside the engine.
  private static let extensions = ProxyExtensions(
    httpFilters: HTTPFilters.registry, networkFilters: NetworkFilters.registry,
    listenerFilters: ListenerFilters.registry, loadBalancers: LoadBalancers.registry,
    retryPriorities: RetryPriorities.registry, protocols: Protocols.registry,
    accessLogs: AccessLogs.registry)

  /// *Exit codes*: 0 a normal end, 1 bad configuration or an address that is taken, 2 a bad command line, 3 the system refused something.
  static func run(_ arguments: [String]) -> Int32 {
    let options: ProxyArguments
    do throws(ProxyArguments.Problem) { options = try ProxyArguments(arguments) } catch {
      complain("weft-proxy: \(error.message)\n")
      return 2
    }
    if options.asksForHelp {
      print(ProxyArguments.help, terminator: "")
      return 0
    }
    if options.asksForVersion {
      print("weft-proxy \(WeftVersion.text)")
      return 0
    }
    SignalWatch.block()
    _ = signal(SIGPIPE, SIG_IGN)
    let log = LogOutput(level: options.logLevel ?? .info, format: options.logFormat)
    for option in options.ignored {
      Logger(log, .main).warning(
        "option without effect", ("option", .text(option.option)), ("instead", .text(option.instead)))
    }
    let loaded: BootstrapLoader.Loaded
    do throws(ConfigError) { loaded = try load(options) } catch {
      complain("weft-proxy: \(error)\n")
      return 1
    }
    for warning in loaded.warnings { Logger(log, .config).warning("configuration", ("warning", .text("\(warning)"))) }
    if options.mode == .validate {
      print("configuration OK")
      return 0
    }
    do { return try serve(options, loaded, log) } catch {
      complain("weft-proxy: \(error)\n")
      return 3
    }
  }

  private static func load(_ options: ProxyArguments) throws(ConfigError) -> BootstrapLoader.Loaded {
    let (bytes, more) = try options.documents(kind: BootstrapLoader.kind)
    return options.mode == .validate
      ? try BootstrapLoader.validate(bytes, with: more, extensions: extensions)
      : try BootstrapLoader.load(bytes, with: more, extensions: extensions)
  }

  private static func serve(_ options: ProxyArguments, _ loaded: BootstrapLoader.Loaded, _ log: LogOutput) throws
    -> Int32
  {
    let processors = Processors.available()
    let concurrency = max(1, options.concurrency.map { $0 == 0 ? processors.count : $0 } ?? processors.count)
    let registry = MetricsRegistry(workers: concurrency)
    let files = AccessLogFiles(workers: concurrency, options.accessLogs, metrics: registry)
    let writer = try Worker(name: "weft-log") { files.run() }
    var server = ProxyServer.Options(concurrency: concurrency)
    server.limits.drainTime = .seconds(options.drainSeconds)
    if options.pinsWorkers { server.pinnedTo = processors.ids }
    let proxy = try ProxyServer(server, registry: registry)
    let loop = EventLoop(driver: EpollDriver())
    let values = RuntimeStore(loaded.bootstrap.runtime, metrics: registry)
    let events: OutlierEventLog?
    do throws(WeftError) { events = try OutlierEventLog(loaded.bootstrap, files, workers: concurrency) } catch {
      return failed("cluster_manager.outlier_detection.event_log_path: \(error.message)")
    }
    let control = ProxyControl(
      loop: loop, server: proxy,
      compiler: SnapshotCompiler(
        metrics: registry, logs: files, security: TLSSecurity(), extensions: extensions,
        tables: BalancerTables(.thread), runtime: values, outlierEvents: events?.hears),
      state: ConfigState(loaded.bootstrap), log: log, drainTime: .seconds(options.drainSeconds),
      files: FileDiscovery(
        loaded.bootstrap, metrics: registry, log: log,
        decode: XDSModel.decoder(extensions: extensions.known, dnsResolver: loaded.bootstrap.dnsResolver)))
    control.reopenLogs = { files.reopen() }
    loop.handler = control
    let signals = try SignalWatch(loop) { control.received($0) }
    var companion = ProxyServices.Options()
    companion.lastGoodPath = options.lastGoodPath
    companion.version = WeftVersion.text
    companion.extensions = extensions
    let services = try ProxyServices(
      loaded, companion, control: loop.mailbox, server: proxy, log: log, files: files, values: values)
    control.streamNeeds = { services.want($0) }
    do {
      try services.start()
      control.start()
    } catch {
      control.startFailed("admin: \((error as? WeftError)?.message ?? "\(error)")")
    }
    // Nothing has been served: there is nothing to end in order.
    if let reason = control.startFailure { return failed(reason) }
    Logger(log, .main).info("serving", ("workers", .number(concurrency)))
    let watchdog = try Watchdog(
      Watchdog.packs(loaded.bootstrap, control: loop, proxy), metrics: registry, log: log,
      kill: { reason in
        complain("weft-proxy: ended by its watchdog: \(reason)\n")
        abort()
      })
    loop.run()
    watchdog.stop()
    if let reason = control.startFailure { return failed(reason) }
    signals.stop()
    services.stop()
    proxy.stop()
    files.stop()
    writer.join()
    return control.exitCode
  }

  private static func failed(_ reason: String) -> Int32 {
    complain("weft-proxy: cannot start: \(reason)\n")
    return 1
  }

  private static func complain(_ text: String) { text.withByteView { LogOutput.toStandardError($0) } }
}
