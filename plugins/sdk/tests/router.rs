//! Functions as users may write them: whatever they and their types are called, they become plugins, and stay functions.

use serde::Deserialize;
use weir_plugin_sdk::{Decision, Facts, Lookup, OnDemand, Operation, Value, router};

/// A name that the code of the attribute might have had, too.
#[derive(Clone, Deserialize)]
struct Plugin {
    #[serde(default)]
    index: u32,
}

/// Everything that a parameter may be.
#[router(name = "everything", sinks = ["alerts"])]
#[expect(clippy::too_many_arguments, reason = "one of each")]
fn batch(
    #[config] config: &Plugin,
    #[key("/id")] id: Option<&str>,
    #[old("")] before: Option<&Value>,
    #[new("/total")] total: Option<f64>,
    #[new("/note")] note: OnDemand<'_>,
    #[actor] actor: Option<&str>,
    #[lookup("interns")] interns: Lookup<'_>,
    operation: Operation,
    facts: Facts<'_>,
) -> Result<Decision, String> {
    let is_intern = actor.is_some_and(|actor| interns.get::<bool>(actor) == Some(true));
    if is_intern && operation == Operation::Remove {
        return Err(format!("{id:?} was removed by an intern, {} changes in", config.index));
    }
    match (before, total) {
        (Some(_), Some(_)) => Ok(Decision::keep().emit_to("alerts", "changed", &facts.changed())),
        _ => Ok(Decision::replace().emit("noted", &note.json())),
    }
}

/// A configuration may be taken by value.
#[router]
fn index(#[config] config: Plugin, #[new("/index")] index: Option<f64>) -> bool {
    index == Some(f64::from(config.index))
}

#[test]
fn a_function_is_called_like_any_other() {
    assert!(index(Plugin { index: 2 }, Some(2.0)));
    assert!(!index(Plugin { index: 2 }, None));
    // It takes what only a host has, so it is there to be built.
    let _ = batch;
}
