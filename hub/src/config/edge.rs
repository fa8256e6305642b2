//! Edge: whether, where and what the hub publishes for everybody. What is shown is an allow-list: without one there is nothing to publish.

use std::path::PathBuf;
use std::time::Duration;

use edge::publish::{Choice, ChoiceText, EdgeUrl, Settings as EdgeSettings, Token};
use runtime::config::Settings;

const KEY_MACHINES_MAX: &str = "edge.machines_max";

/// None without an address. Neither the token nor an address that may hold one is ever shown.
pub(super) fn edge(settings: &mut Settings) -> Option<EdgeSettings> {
    let every = settings.duration("edge.interval", Duration::from_secs(1)..=Duration::from_secs(60));
    let title = settings.text("edge.title");
    let ca_file = settings.optional_text("edge.ca_file").map(PathBuf::from);
    let text = ChoiceText {
        machines: settings.texts("edge.machines"),
        tags: settings.texts("edge.tags"),
        metrics: settings.texts("edge.metrics"),
        names: settings.texts("edge.names"),
        default_name: settings.text("edge.default_name"),
        machines_max: settings.count(KEY_MACHINES_MAX, 1..=edge::protocol::MACHINES_MAX),
    };
    let token = settings.optional_text("edge.token");
    let Some(url) = settings.optional_text("edge.url") else {
        // A token alone is the edge's, which may share an environment with the hub.
        return None;
    };
    let is_insecure = settings.flag("insecure");
    let address = EdgeUrl::parse(&url, is_insecure).map_err(|problem| settings.reject("edge.url", problem)).ok();
    let token = match token.as_deref().map(Token::parse) {
        Some(Ok(token)) => Some(token),
        Some(Err(problem)) => {
            settings.reject("edge.token", problem);
            None
        }
        None => {
            settings.reject("edge.url", "is set, and edge.token is not; give the hub the EDGE_TOKEN of the edge");
            None
        }
    };
    if !edge::protocol::is_name(&title) {
        settings.reject("edge.title", "has no text, control characters or more than 80 characters");
    }
    let choice = match Choice::parse(&text) {
        Ok(choice) => Some(choice),
        Err(problems) => {
            problems.iter().for_each(|(key, problem)| settings.reject(key, problem));
            None
        }
    };
    Some(EdgeSettings { edge: address?, token: token?, ca_file, title, choice: choice?, every })
}
