//! ConfigService: the collectors' configuration as it changes, what they say of it, the rules in force and their changes.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};
use model::audit::{Actor, Door};
use model::command::{RuleChange, RuleError, RuleSource, RuleStore};
use model::{Rule, RuleSet};
use proto::pb::config_service_server::ConfigService;
use proto::{pb, rule};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};
use tracing::{info, warn};

use crate::context::Context;
use crate::metrics_service::parse;

const DETAIL_CHARS_MAX: usize = 200;
/// Of a refusal: it travels in a header, and it may quote what was sent.
const REFUSAL_CHARS_MAX: usize = 2_000;

/// Configuration of all collectors. A collector keeps the last one that it could use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectorConfig {
    /// Rises with every change; 0 is none.
    pub version: u64,
    /// Time between two frames; 0 keeps the collector's own.
    pub interval_ms: u32,
}

pub(crate) struct Config {
    pub(crate) context: Arc<Context>,
    pub(crate) config: watch::Receiver<CollectorConfig>,
    pub(crate) rules: Arc<dyn RuleStore>,
}

/// One collector's watch.
struct Watch {
    context: Arc<Context>,
    config: watch::Receiver<CollectorConfig>,
    /// The newest version that the collector holds.
    version: u64,
    has_ended: bool,
}

impl Watch {
    /// The next newer version; the stream ends with the hub.
    async fn next(&mut self) -> Option<Result<pb::CollectorConfig, Status>> {
        if self.has_ended {
            return None;
        }
        let version = self.version;
        let newer = tokio::select! {
            () = self.context.drain.draining() => None,
            newer = self.config.wait_for(|config| version < config.version) => newer.ok().map(|config| *config),
        };
        let Some(config) = newer else {
            self.has_ended = true;
            return Some(Err(crate::context::draining()));
        };
        self.version = config.version;
        Some(Ok(pb::CollectorConfig { version: config.version, interval_ms: config.interval_ms }))
    }
}

#[tonic::async_trait]
impl ConfigService for Config {
    type WatchConfigStream = Pin<Box<dyn Stream<Item = Result<pb::CollectorConfig, Status>> + Send>>;

    async fn watch_config(
        &self,
        request: Request<pb::WatchConfigRequest>,
    ) -> Result<Response<Self::WatchConfigStream>, Status> {
        let request = request.into_inner();
        parse(&request.machine_id)?;
        let watch = Watch {
            context: Arc::clone(&self.context),
            config: self.config.clone(),
            version: request.version,
            has_ended: false,
        };
        let versions = stream::unfold(watch, async |mut watch| {
            let config = watch.next().await?;
            Some((config, watch))
        });
        Ok(Response::new(Box::pin(versions)))
    }

    async fn report_config(
        &self,
        request: Request<pb::ConfigReport>,
    ) -> Result<Response<pb::ConfigReportReply>, Status> {
        let report = request.into_inner();
        let machine = parse(&report.machine_id)?;
        let detail: String = report.detail.chars().take(DETAIL_CHARS_MAX).collect();
        let [accepted, rejected] = &self.context.meters.config_reports;
        if report.accepted {
            accepted.increment();
            info!(machine = %machine, version = report.version, "configuration in use");
        } else {
            rejected.increment();
            warn!(machine = %machine, version = report.version, detail, "configuration rejected by the collector");
        }
        Ok(Response::new(pb::ConfigReportReply {}))
    }

    async fn list_rules(&self, _request: Request<pb::ListRulesRequest>) -> Result<Response<pb::RuleList>, Status> {
        Ok(Response::new(rule::encode_all(&self.rules.listing())))
    }

    async fn create_rule(&self, request: Request<pb::CreateRuleRequest>) -> Result<Response<pb::RuleReply>, Status> {
        let by = actor(&request);
        self.put(request.into_inner().rule, RuleChange::Create, by).await
    }

    async fn update_rule(&self, request: Request<pb::UpdateRuleRequest>) -> Result<Response<pb::RuleReply>, Status> {
        let by = actor(&request);
        self.put(request.into_inner().rule, RuleChange::Update, by).await
    }

    async fn delete_rule(
        &self,
        request: Request<pb::DeleteRuleRequest>,
    ) -> Result<Response<pb::DeleteRuleReply>, Status> {
        let by = actor(&request);
        let set = self.change(RuleChange::Delete(request.into_inner().name), by).await?;
        Ok(Response::new(pb::DeleteRuleReply { version: set.version }))
    }
}

impl Config {
    async fn put(
        &self,
        message: Option<pb::Rule>,
        change: fn(Rule) -> RuleChange,
        by: Actor,
    ) -> Result<Response<pb::RuleReply>, Status> {
        let message = message.ok_or_else(|| Status::invalid_argument("the request has no rule; fill in `rule`"))?;
        let wanted = rule::decode(message).map_err(|error| refusal(Code::InvalidArgument, &error))?;
        let name = wanted.name.clone();
        let set = self.change(change(wanted), by).await?;
        let kept = set.rules.iter().find(|rule| rule.name == name);
        Ok(Response::new(pb::RuleReply {
            version: set.version,
            rule: kept.map(|kept| rule::encode(kept, RuleSource::Own)),
        }))
    }

    async fn change(&self, change: RuleChange, by: Actor) -> Result<Arc<RuleSet>, Status> {
        self.rules.change(change, by).await.map_err(|error| refusal(code(&error), &error))
    }
}

/// Who asks: the name in the metadata, if any, and the other end of the connection.
fn actor<T>(request: &Request<T>) -> Actor {
    let author = request.metadata().get("x-author").and_then(|author| author.to_str().ok());
    Actor::new(Door::Grpc, author.unwrap_or_default(), request.remote_addr().map(|address| address.ip()))
}

/// What a client does next about a change that was not made.
fn code(error: &RuleError) -> Code {
    match error {
        RuleError::Invalid(_) => Code::InvalidArgument,
        RuleError::FromFile(_) => Code::FailedPrecondition,
        RuleError::Exists(_) => Code::AlreadyExists,
        RuleError::NotFound(_) => Code::NotFound,
        RuleError::TooMany(_) => Code::ResourceExhausted,
        RuleError::Store(_) => Code::Internal,
        RuleError::Stopping => Code::Unavailable,
    }
}

fn refusal(code: Code, error: &dyn std::error::Error) -> Status {
    let said: String = error.to_string().chars().take(REFUSAL_CHARS_MAX).collect();
    Status::new(code, said)
}
