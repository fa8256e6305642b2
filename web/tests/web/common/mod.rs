//! What the tests share: fakes of the stores, a fleet to put in them, and ways to ask.

pub(crate) mod fakes;
pub(crate) mod fleet;
pub(crate) mod socket;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use model::query::Health;
use runtime::clock::ManualClock;
use runtime::metrics::Registry;
use serde_json::Value;
use tower::ServiceExt;
use web::{AppState, SettingView, WebSettings};

use fakes::{FakeAudit, FakeControl, FakeHistory, FakeHot, FakeOffice, FakeRules, FakeSilences, FakeStats};

/// 2025-11-21T04:40:00Z.
pub(crate) const NOW_S: i64 = 1_763_700_000;
pub(crate) const NOW_MS: i64 = NOW_S * 1_000;

/// Longer than anything takes that is not broken.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// A hub made of fakes.
pub(crate) struct Hub {
    pub(crate) hot: Arc<FakeHot>,
    pub(crate) history: Arc<FakeHistory>,
    pub(crate) rules: Arc<FakeRules>,
    pub(crate) silences: Arc<FakeSilences>,
    pub(crate) audit: Arc<FakeAudit>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) dead_letters: Arc<FakeOffice>,
    pub(crate) state: AppState,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::with(WebSettings::default())
    }

    pub(crate) fn with(settings: WebSettings) -> Self {
        let hot = Arc::new(FakeHot::new());
        let history = Arc::new(FakeHistory::default());
        let rules = Arc::new(FakeRules::default());
        let silences = Arc::new(FakeSilences::default());
        let audit = Arc::new(FakeAudit::default());
        let control = Arc::new(FakeControl::default());
        let dead_letters = Arc::new(FakeOffice::default());
        let setting = SettingView { key: "data_dir".into(), value: "./data".into(), source: "default".into() };
        let clock = ManualClock::at(NOW_S * 1_000_000);
        let state = AppState {
            hot: Arc::clone(&hot) as _,
            hot_versions: hot.versions(),
            history: Arc::clone(&history) as _,
            rules: Arc::clone(&rules) as _,
            silences: Arc::clone(&silences) as _,
            audit: Arc::clone(&audit) as _,
            control: Arc::clone(&control) as _,
            dead_letters: Arc::clone(&dead_letters) as _,
            config: Arc::new(vec![setting]),
            clock: clock.shared(),
            metrics: Registry::new(),
            readiness: Arc::new(Vec::<Health>::new),
            stats: Arc::new(FakeStats),
            version: "0.1.0",
            settings,
        };
        Self { hot, history, rules, silences, audit, control, dead_letters, state }
    }

    pub(crate) fn router(&self) -> Router {
        web::router(self.state.clone())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// The body of an answer that must be 200.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `status code: detail` of a problem document, whose form is checked on the way.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(document["type"], "about:blank");
        assert_eq!(document["title"], self.status.canonical_reason().unwrap());
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        format!("{} {}: {}", self.status.as_u16(), text("code"), text("detail"))
    }
}
