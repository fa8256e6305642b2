//! Mirrors: the hub's rules and silences as tables, for those who query. The hub itself never reads them: they live in its data folder.

use std::sync::Arc;

use model::command::{RuleListing, RuleStore, SilenceStore};
use model::silence::Silence;

use super::error::Failure;
use super::rows::json_text;
use super::session::Session;
use super::value::{Time, text};

/// Where rules and silences come from.
#[derive(Clone)]
pub struct Mirrors {
    pub rules: Arc<dyn RuleStore>,
    pub silences: Arc<dyn SilenceStore>,
}

/// What is in the tables, as far as this run of the program knows.
#[derive(Default)]
pub(super) struct Mirrored {
    rules: Option<RuleListing>,
    silences: Option<Arc<Vec<Arc<Silence>>>>,
}

impl Mirrored {
    /// Writes what has changed since the last time.
    pub(super) async fn update(&mut self, session: &Session, hub: &str, mirrors: &Mirrors) -> Result<(), Failure> {
        let rules = mirrors.rules.listing();
        if self.rules.as_ref().is_none_or(|known| !Arc::ptr_eq(&known.set, &rules.set)) {
            write_rules(session, hub, &rules).await?;
            self.rules = Some(rules);
        }
        let silences = mirrors.silences.silences();
        if self.silences.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &silences)) {
            write_silences(session, hub, &silences).await?;
            self.silences = Some(silences);
        }
        Ok(())
    }
}

async fn write_rules(session: &Session, hub: &str, listing: &RuleListing) -> Result<(), Failure> {
    session.batch("BEGIN").await?;
    session.execute("DELETE FROM rules WHERE hub = $1", &[&hub]).await?;
    let add = "INSERT INTO rules (hub, name, metric, operator, threshold, severity, enabled, source, rule) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, ($9::text)::jsonb)";
    for rule in &listing.set.rules {
        let word = |word: &dyn std::fmt::Debug| format!("{word:?}").to_lowercase();
        let (operator, severity) = (word(&rule.operator), word(&rule.severity));
        let (source, json) = (word(&listing.source(&rule.name)), json_text(rule.as_ref())?);
        let (name, metric) = (text(&rule.name), text(&rule.metric));
        let params: super::session::Params<'_> =
            &[&hub, &name, &metric, &operator, &rule.threshold, &severity, &rule.enabled, &source, &json];
        session.execute(add, params).await?;
    }
    session.batch("COMMIT").await?;
    Ok(())
}

async fn write_silences(session: &Session, hub: &str, silences: &[Arc<Silence>]) -> Result<(), Failure> {
    session.batch("BEGIN").await?;
    session.execute("DELETE FROM silences WHERE hub = $1", &[&hub]).await?;
    let add = "INSERT INTO silences (hub, id, starts_at, ends_at, author, comment, matchers) \
               VALUES ($1, $2, $3, $4, $5, $6, ($7::text)::jsonb)";
    for silence in silences {
        let (starts, ends) = (Time(silence.starts_at), Time(silence.ends_at));
        let (author, comment, matchers) =
            (text(&silence.author), text(&silence.comment), json_text(&silence.matchers)?);
        session.execute(add, &[&hub, &silence.id, &starts, &ends, &author, &comment, &matchers]).await?;
    }
    session.batch("COMMIT").await?;
    Ok(())
}
