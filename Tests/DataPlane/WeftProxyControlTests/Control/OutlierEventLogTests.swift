import Testing
import WeftBase
import WeftTelemetry
import WeftTestKit
import WeftUpstream

@testable import WeftProxyControl

@Suite("the log of ejections")
struct OutlierEventLogTests {
  private static let start = #"{"type":"#
  private static let host = #""cluster_name":"c","upstream_url":"10.0.0.1:80","#

  @Test(
    "a line is Envoy's event, field by field",
    arguments: [
      (
        OutlierEvent.Action.ejected(.consecutiveGatewayFailure, enforced: false), nil, nil,
        #""CONSECUTIVE_GATEWAY_FAILURE","timestamp":"2026-11-30T13:22:10.014Z",\#(host)"action":"EJECT","num_ejections":3,"enforced":false,"eject_consecutive_event":{}}"#
      ),
      (
        .takenBack, Duration.milliseconds(2900), nil,
        #""CONSECUTIVE_5XX","timestamp":"2026-11-30T13:22:10.014Z","secs_since_last_action":"2",\#(host)"action":"UNEJECT","num_ejections":3,"enforced":false}"#
      ),
      (
        .ejected(.successRate, enforced: true), nil,
        OutlierEvent.Rates(host: 90.9, average: 95.5, threshold: -3),
        #""SUCCESS_RATE","timestamp":"2026-11-30T13:22:10.014Z",\#(host)"action":"EJECT","num_ejections":3,"enforced":true,"eject_success_rate_event":{"host_success_rate":90,"cluster_average_success_rate":95,"cluster_success_rate_ejection_threshold":0}}"#
      ),
      (
        .ejected(.failurePercentage, enforced: true), nil, OutlierEvent.Rates(host: 15),
        #""FAILURE_PERCENTAGE","timestamp":"2026-11-30T13:22:10.014Z",\#(host)"action":"EJECT","num_ejections":3,"enforced":true,"eject_failure_percentage_event":{"host_success_rate":15}}"#
      ),
    ] as [(OutlierEvent.Action, Duration?, OutlierEvent.Rates?, String)])
  func line(action: OutlierEvent.Action, since: Duration?, rates: OutlierEvent.Rates?, expected: String) {
    let event = OutlierEvent(
      action, cluster: "c", host: "10.0.0.1:80", ejections: 3, sinceLastAction: since, rates: rates)
    #expect(OutlierEventLog.line(event, at: 1_796_044_930_014_999_999) == Self.start + expected)
  }
}
