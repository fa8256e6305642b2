//! Told: a change in words, for the audit record.

use model::audit::{Action, Actor, Deed};
use model::command::{RuleChange, SilenceChange};
use model::{Rule, Silence};
use serde_json::Value;

/// A change of a rule, of which `before` is what it was.
#[must_use]
pub fn of_rule(actor: Actor, change: &RuleChange, before: Option<&Rule>) -> Deed {
    let (action, detail) = match (change, before) {
        (RuleChange::Create(rule), _) | (RuleChange::Update(rule), None) => (Action::RuleCreated, fields(rule)),
        (RuleChange::Update(rule), Some(before)) => (Action::RuleUpdated, difference(before, rule)),
        (RuleChange::Delete(_), before) => (Action::RuleDeleted, before.map(fields).unwrap_or_default()),
    };
    Deed::new(actor, action, change.name(), &detail)
}

/// A change of a silence; `changed` is the silence after it.
#[must_use]
pub fn of_silence(actor: Actor, change: &SilenceChange, changed: &Silence) -> Deed {
    let matchers = serde_json::to_string(&changed.matchers).unwrap_or_default();
    match change {
        SilenceChange::Create(new) => {
            // Who makes a silence signs it; that name is better than none.
            let author = if actor.author.is_empty() { new.author.clone() } else { actor.author.clone() };
            let detail = format!("{matchers} until {}: {}", changed.ends_at, changed.comment);
            Deed::new(Actor { author, ..actor }, Action::SilenceCreated, &changed.id, &detail)
        }
        SilenceChange::End(_) => Deed::new(actor, Action::SilenceEnded, &changed.id, &matchers),
    }
}

fn fields(rule: &Rule) -> String {
    let Value::Object(fields) = json(rule) else { return String::new() };
    let said = fields.iter().filter(|(name, value)| *name != "name" && !is_nothing(value));
    said.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

fn difference(before: &Rule, after: &Rule) -> String {
    let (Value::Object(before), Value::Object(after)) = (json(before), json(after)) else { return String::new() };
    // A field that has its default may be absent on either side.
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), Value::to_string);
    let said: Vec<String> =
        changed.map(|name| format!("{name}: {} -> {}", shown(before.get(name)), shown(after.get(name)))).collect();
    if said.is_empty() { "nothing became different".to_owned() } else { said.join(", ") }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn json(rule: &Rule) -> Value {
    serde_json::to_value(rule).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(threshold: f64) -> Rule {
        let text = format!(r#"{{"name":"a","metric":"m","operator":"gt","threshold":{threshold},"severity":"info"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_change_of_a_rule_says_what_became_different() {
        let actor = Actor::hub("test");
        let update = RuleChange::Update(Rule { no_data_s: Some(60), ..rule(0.8) });
        let deed = of_rule(actor.clone(), &update, Some(&rule(0.9)));
        assert_eq!((deed.action, deed.subject.as_str()), (Action::RuleUpdated, "a"));
        assert_eq!(deed.detail, "threshold: 0.9 -> 0.8, no_data_s: none -> 60");
        let same = of_rule(actor.clone(), &RuleChange::Update(rule(0.9)), Some(&rule(0.9)));
        assert_eq!(same.detail, "nothing became different");
        let gone = of_rule(actor, &RuleChange::Delete("a".into()), Some(&rule(0.9)));
        assert!(gone.detail.contains("threshold: 0.9") && !gone.detail.contains("machines"), "{}", gone.detail);
    }
}
