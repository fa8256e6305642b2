//! Alert filter: which alerts of a list are wanted, those with every word of a text and of one severity.
//!
//! The hub sifts, not the page: a page knows only the rows that it was sent.

use model::{Alert, Severity};

use crate::error::Problem;
use crate::params::{Params, wrong};

/// Characters of `q`: more than any name here has.
pub(crate) const Q_CHARS_MAX: usize = 200;
const SEVERITIES: &[(&str, Option<Severity>)] =
    &[("critical", Some(Severity::Critical)), ("warning", Some(Severity::Warning)), ("info", Some(Severity::Info))];

#[derive(Debug, Default)]
pub(super) struct AlertFilter {
    /// In lower case.
    words: Vec<String>,
    severity: Option<Severity>,
}

impl AlertFilter {
    pub(super) fn read(params: &Params) -> Result<Self, Problem> {
        let text = params.one("q")?.unwrap_or_default();
        if Q_CHARS_MAX < text.chars().count() {
            return Err(wrong("q", "short enough", text, &format!("use at most {Q_CHARS_MAX} characters")));
        }
        let words = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        Ok(Self { words, severity: params.choice("severity", SEVERITIES, None)? })
    }

    /// Each word is part of the rule's name or summary, the machine, the metric or a label.
    pub(super) fn admits(&self, alert: &Alert) -> bool {
        if self.severity.is_some_and(|severity| severity != alert.rule.severity) {
            return false;
        }
        // Most lists are read without a word, and then no text is made.
        if self.words.is_empty() {
            return true;
        }
        let text = text_of(alert);
        self.words.iter().all(|word| text.contains(word))
    }
}

fn text_of(alert: &Alert) -> String {
    let rule = alert.rule.as_ref();
    let mut parts =
        vec![rule.name.as_str(), rule.summary.as_str(), alert.machine.as_str(), alert.series.metric.as_ref()];
    for (name, value) in alert.series.labels.iter() {
        parts.extend([name, value]);
    }
    // No word has a space in it, so that none is found across two parts.
    parts.join(" ").to_lowercase()
}
