//! Piece: one machine or alert with its JSON, made when the first client needs it and shared by all.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use model::Alert;
use model::query::MachineView;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::shapes::alert::shown;
use crate::shapes::machine::{FullMachineShape, MachineShape};
use crate::shapes::seeds::SeedsMessage;
use crate::shapes::to_json;

#[derive(Debug)]
pub(crate) struct MachinePiece {
    pub(crate) view: Arc<MachineView>,
    summary: OnceLock<Utf8Bytes>,
    full: OnceLock<Utf8Bytes>,
    seeds: OnceLock<Utf8Bytes>,
}

#[derive(Debug)]
pub(crate) struct AlertPiece {
    pub(crate) alert: Arc<Alert>,
    json: OnceLock<Utf8Bytes>,
}

impl MachinePiece {
    pub(crate) fn new(view: Arc<MachineView>) -> Self {
        Self { view, summary: OnceLock::new(), full: OnceLock::new(), seeds: OnceLock::new() }
    }

    pub(crate) fn summary(&self) -> &Utf8Bytes {
        self.summary.get_or_init(|| to_json(&MachineShape::summary(&self.view)).into())
    }

    pub(crate) fn full(&self) -> &Utf8Bytes {
        self.full.get_or_init(|| to_json(&FullMachineShape::of(&self.view)).into())
    }

    /// With the series of these metrics. Not kept: few ask for the same.
    pub(crate) fn only(&self, metrics: &BTreeSet<String>) -> String {
        to_json(&FullMachineShape::only(&self.view, metrics))
    }

    /// A whole message of its own.
    pub(crate) fn seeds(&self) -> &Utf8Bytes {
        self.seeds.get_or_init(|| to_json(&SeedsMessage::of(&self.view)).into())
    }
}

impl AlertPiece {
    pub(crate) fn new(alert: Arc<Alert>) -> Self {
        Self { alert, json: OnceLock::new() }
    }

    pub(crate) fn json(&self) -> &Utf8Bytes {
        self.json.get_or_init(|| to_json(&shown(&self.alert)).into())
    }
}
