//! The filter as a plugin of Weir.

/// Sends what changed its status or its total.
#[weir_plugin_sdk::router]
fn filter(
    #[old("/status")] status_before: Option<&str>,
    #[new("/status")] status: Option<&str>,
    #[old("/total")] total_before: Option<&str>,
    #[new("/total")] total: Option<&str>,
) -> bool {
    (status_before, total_before) != (status, total)
}
