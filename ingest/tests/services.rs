//! Control, configuration, state and health over real gRPC.

mod common;

use common::{Front, SOON, folder};
use ingest::CollectorConfig;
use model::MachineId;
use model::command::{CollectorCommand, CommandError};
use proto::pb;
use proto::pb::config_service_client::ConfigServiceClient;
use proto::pb::control_service_client::ControlServiceClient;
use testkit::eventually;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

struct Control {
    results: mpsc::Sender<pb::CommandResult>,
    commands: Streaming<pb::Command>,
}

impl Control {
    async fn end(mut self) -> Code {
        loop {
            match self.commands.message().await {
                Ok(Some(_command)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }
}

async fn control(front: &Front, machine: &str) -> Control {
    let (results, waiting) = mpsc::channel(16);
    let first = pb::CommandResult { machine_id: machine.into(), ..pb::CommandResult::default() };
    results.send(first).await.expect("room");
    let mut client = ControlServiceClient::new(front.channel().await);
    let commands = client.control(ReceiverStream::new(waiting)).await.expect("accepted").into_inner();
    Control { results, commands }
}

fn id(name: &str) -> MachineId {
    MachineId::parse(name).expect("a valid id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_its_collector_and_its_result_is_counted() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut db = control(&front, "db-1").await;
    assert_eq!(front.collectors.connected(), [id("db-1")]);
    front.collectors.give(&id("db-1"), CollectorCommand::Pause).unwrap();
    front.collectors.give(&id("db-1"), CollectorCommand::Focus).unwrap();
    for (number, kind) in [(1, pb::CommandKind::Pause), (2, pb::CommandKind::Focus)] {
        let command = db.commands.message().await.unwrap().unwrap();
        assert_eq!((command.id, command.kind()), (number, kind));
    }
    let refused = pb::CommandResult { id: 1, outcome: pb::Outcome::Refused.into(), ..pb::CommandResult::default() };
    db.results.send(refused).await.unwrap();
    let count = async || front.count("ingest_command_results_total{outcome=\"refused\"}");
    eventually(SOON, count, |n| 0.5 < *n).await.unwrap();
    assert!(front.stop().await);
    assert_eq!(db.end().await, Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_nobody_or_too_many_is_refused() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let nobody = front.collectors.give(&id("db-1"), CollectorCommand::Pause);
    assert_eq!(nobody, Err(CommandError::NotConnected(id("db-1"))));
    let older = control(&front, "db-1").await;
    let newer = control(&front, "db-1").await;
    assert_eq!(older.end().await, Code::Aborted);
    // The older stream's end does not take the newer one off the list.
    let closed = async || front.count("ingest_streams{kind=\"control\"}");
    eventually(SOON, closed, |open| *open < 1.5).await.unwrap();
    assert_eq!(front.collectors.connected(), [id("db-1")]);
    drop(newer);
    eventually(SOON, async || front.collectors.connected(), Vec::is_empty).await.unwrap();
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_hears_each_newer_configuration() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    front.config.send_replace(CollectorConfig { version: 3, interval_ms: 1_000 });
    let mut client = ConfigServiceClient::new(front.channel().await);
    let request = pb::WatchConfigRequest { machine_id: "db-1".into(), version: 2 };
    let mut versions = client.watch_config(request).await.unwrap().into_inner();
    assert_eq!(versions.message().await.unwrap().unwrap().interval_ms, 1_000);
    front.config.send_replace(CollectorConfig { version: 4, interval_ms: 2_000 });
    assert_eq!(versions.message().await.unwrap().unwrap().version, 4);
    let report = pb::ConfigReport { machine_id: "db-1".into(), version: 4, accepted: true, detail: String::new() };
    client.report_config(report).await.unwrap();
    assert!((front.count("ingest_config_reports_total{outcome=\"accepted\"}") - 1.0).abs() < f64::EPSILON);
    assert!(client.list_rules(pb::ListRulesRequest {}).await.unwrap().into_inner().rules.is_empty());
    assert!(front.stop().await);
    assert_eq!(versions.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_machine_that_is_not_there_says_so() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut client = front.client().await;
    for (machine, code) in [("db-1", Code::NotFound), ("not a name", Code::InvalidArgument)] {
        let request = pb::StateRequest { machine_id: machine.into() };
        assert_eq!(client.get_current_state(request).await.unwrap_err().code(), code);
    }
    assert!(client.list_machines(pb::ListMachinesRequest {}).await.unwrap().into_inner().machines.is_empty());
    assert!(client.get_all_states(pb::AllStatesRequest {}).await.unwrap().into_inner().states.is_empty());
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_for_all_names_and_says_when_the_hub_drains() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut client = HealthClient::new(front.channel().await);
    for service in ["", "monitoring.MetricsService", "MetricsService", "ControlService", "monitoring.ConfigService"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
    let unknown = client.check(HealthCheckRequest { service: "x".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let watched = HealthCheckRequest { service: "MetricsService".into() };
    let mut watch = client.watch(watched).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    front.drain.begin();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    drop((watch, client));
    assert!(front.stop().await);
}
