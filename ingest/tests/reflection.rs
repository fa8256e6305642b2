//! Reflection over real gRPC: nothing unless it is asked for, then every service in both versions of the protocol.

mod common;

use common::{Front, folder};
use ingest::{Settings, StreamSettings};
use tonic::{Code, Status};
use tonic_reflection::pb::{v1, v1alpha};

const SERVICES: [&str; 4] =
    ["grpc.health.v1.Health", "monitoring.ConfigService", "monitoring.ControlService", "monitoring.MetricsService"];

fn asked_for() -> Settings {
    Settings { streams: StreamSettings { reflection: true, ..StreamSettings::default() }, ..Settings::default() }
}

async fn ask(
    front: &Front,
    question: v1::server_reflection_request::MessageRequest,
) -> Result<v1::server_reflection_response::MessageResponse, Status> {
    let request =
        v1::ServerReflectionRequest { message_request: Some(question), ..v1::ServerReflectionRequest::default() };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(front.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.message().await?.expect("an answer");
    Ok(answer.message_response.expect("a response"))
}

async fn listed(front: &Front) -> Result<Vec<String>, Status> {
    let question = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = ask(front, question).await?
    else {
        panic!("not a list")
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    Ok(names)
}

async fn listed_by_the_older_version(front: &Front) -> Result<Vec<String>, Status> {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..v1alpha::ServerReflectionRequest::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(front.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.message().await?.expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("not a list") };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    Ok(names)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_are_described_to_nobody_by_default() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    assert_eq!(listed(&front).await.unwrap_err().code(), Code::Unimplemented);
    let older = listed_by_the_older_version(&front).await;
    assert_eq!(older.unwrap_err().code(), Code::Unimplemented);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_listed_on_request_in_both_versions() {
    let dir = folder();
    let front = Front::start_with(dir.path(), asked_for()).await;
    let (newer, older) = (listed(&front).await.unwrap(), listed_by_the_older_version(&front).await.unwrap());
    for service in SERVICES {
        assert!(newer.iter().any(|name| name == service), "{service}: {newer:?}");
        assert!(older.iter().any(|name| name == service), "{service}: {older:?}");
    }
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_finds_the_file_that_describes_a_name() {
    use v1::server_reflection_request::MessageRequest::{FileByFilename, FileContainingSymbol};
    use v1::server_reflection_response::MessageResponse::FileDescriptorResponse;
    let dir = folder();
    let front = Front::start_with(dir.path(), asked_for()).await;
    let questions = [
        FileContainingSymbol(String::from("monitoring.MetricsService.Push")),
        FileContainingSymbol(String::from("monitoring.Frame")),
        FileByFilename(String::from("monitoring/control.proto")),
    ];
    for question in questions {
        let answer = ask(&front, question.clone()).await.unwrap();
        assert!(
            matches!(&answer, FileDescriptorResponse(files) if !files.file_descriptor_proto.is_empty()),
            "{question:?}: {answer:?}"
        );
    }
    let nothing = ask(&front, FileContainingSymbol(String::from("monitoring.Nothing"))).await;
    assert_eq!(nothing.unwrap_err().code(), Code::NotFound);
    assert!(front.stop().await);
}
