//! Records orders without who bought them, and says who changed them: a plugin at intake.
//!
//! ```text
//! customer ──▶ a keyed hash: orders of one customer are still seen to be of one
//! note ──────▶ ***: people write anything into it
//! clerk ─────▶ the actor, of a change that moved `updated_at`; elsewhere `updated_by` names somebody who did nothing
//!
//! an order in a state that the configuration does not name ──▶ withheld: nobody has looked at what it has in it
//! ```

use serde::Deserialize;
use weir_plugin_sdk::{Annotation, annotator};

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// States of an order of which it is known what they have in them.
    states: Vec<String>,
}

/// Records orders without who bought them, and names the clerk who changed them.
#[annotator(name = "privacy")]
fn privacy(
    #[config] settings: &Settings,
    #[new("/status")] state: Option<&str>,
    #[old("/updated_at")] before: Option<&str>,
    #[new("/updated_at")] after: Option<&str>,
    #[new("/updated_by")] clerk: Option<&str>,
) -> Result<Annotation, String> {
    if let Some(state) = state
        && !settings.states.iter().any(|known| known == state)
    {
        return Err(format!("what an order that is {state:?} has in it is not known"));
    }
    let annotation = Annotation::none()
        .hash("/customer")
        .mask("/note")
        .tag("class", "personal");
    Ok(match clerk {
        Some(clerk) if before != after => annotation.actor(format!("clerk/{clerk}")),
        _ => annotation,
    })
}
