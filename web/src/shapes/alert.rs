//! Alert: what the API and the live protocol say of one alert.

use model::{Alert, AlertShape, Standing};

/// Until the graph has said how it stands, an alert is somebody's.
pub(crate) fn shown(alert: &Alert) -> AlertShape<'_> {
    let shape = AlertShape::of(alert);
    AlertShape { standing: shape.standing.or(Some(Standing::Active.as_str())), ..shape }
}
