//! Rules over real gRPC: listed with who keeps them, made, replaced and deleted, and every refusal with its code.

mod common;

use common::{Front, folder};
use model::command::{RuleChange, RuleError};
use proto::pb;
use proto::pb::config_service_client::ConfigServiceClient;
use tonic::Code;

fn rule(name: &str) -> Option<pb::Rule> {
    Some(pb::Rule {
        name: name.into(),
        metric: "system.cpu.utilization".into(),
        operator: "gt".into(),
        threshold: 0.9,
        severity: "warning".into(),
        ..pb::Rule::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_made_replaced_and_deleted() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut client = ConfigServiceClient::new(front.channel().await);
    let request = pb::CreateRuleRequest { rule: rule("hot") };
    let made = client.create_rule(request).await.unwrap().into_inner();
    let kept = made.rule.unwrap();
    assert_eq!((made.version, kept.source.as_str(), kept.enabled), (7, "own", Some(true)));
    let listed = client.list_rules(pb::ListRulesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.rules, std::slice::from_ref(&kept));

    // What was listed can be sent back.
    let request = pb::UpdateRuleRequest { rule: Some(kept) };
    client.update_rule(request).await.unwrap();
    let request = pb::DeleteRuleRequest { name: "hot".into() };
    client.delete_rule(request).await.unwrap();
    let ordered = front.rules.ordered.lock().unwrap().clone();
    assert!(matches!(
        ordered.as_slice(),
        [RuleChange::Create(_), RuleChange::Update(_), RuleChange::Delete(name)] if name == "hot"
    ));
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_code() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut client = ConfigServiceClient::new(front.channel().await);
    for (refusal, code) in [
        (RuleError::Invalid(vec!["a".into()]), Code::InvalidArgument),
        (RuleError::FromFile("hot".into()), Code::FailedPrecondition),
        (RuleError::Exists("hot".into()), Code::AlreadyExists),
        (RuleError::NotFound("hot".into()), Code::NotFound),
        (RuleError::TooMany("2 rules".into()), Code::ResourceExhausted),
        (RuleError::Store("disk full".into()), Code::Internal),
        (RuleError::Stopping, Code::Unavailable),
    ] {
        let said = refusal.to_string();
        *front.rules.refusal.lock().unwrap() = Some(refusal);
        let refused = client.update_rule(pb::UpdateRuleRequest { rule: rule("hot") }).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, said.as_str()));
    }
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_rule_is_refused_with_every_problem() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let mut client = ConfigServiceClient::new(front.channel().await);
    let missing = client.create_rule(pb::CreateRuleRequest { rule: None }).await.unwrap_err();
    assert_eq!(missing.code(), Code::InvalidArgument);
    let bad = pb::Rule { operator: "above".into(), severity: "bad".into(), ..rule("Not A Name").unwrap() };
    let refused = client.create_rule(pb::CreateRuleRequest { rule: Some(bad) }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for part in ["operator \"above\" is not known", "severity \"bad\"", "rule name \"Not A Name\""] {
        assert!(refused.message().contains(part), "{}", refused.message());
    }
    // What is quoted is cut: a refusal travels in a header.
    let long = client.create_rule(pb::CreateRuleRequest { rule: rule(&"X".repeat(1 << 20)) }).await;
    assert_eq!(long.unwrap_err().code(), Code::InvalidArgument);
    assert!(front.rules.ordered.lock().unwrap().is_empty());
    assert!(front.stop().await);
}
