//! What would be sent, page by page, and how that differs from what was made of the same changes.

use anyhow::Result;
use weir_api::{EventDifference, EventDifferenceKind, Preview};

use crate::output::printable;
use crate::say;

/// Differences that are shown, at most.
const DIFFERENCES_SHOWN: usize = 100;

/// Asks for page after page of a range, which `ask` takes as its first and last position.
pub(super) async fn whole(
    mut from: Option<u64>,
    mut to: Option<u64>,
    mut ask: impl AsyncFnMut(Option<u64>, Option<u64>) -> Result<Preview>,
) -> Result<Preview> {
    let mut all: Option<Preview> = None;
    loop {
        let page = ask(from, to).await?;
        let (next, until) = (page.next, page.until);
        let so_far = match all {
            None => page,
            Some(all) => joined(all, page),
        };
        if next >= until {
            return Ok(so_far);
        }
        all = Some(so_far);
        // What the route passes meanwhile is not meant.
        (from, to) = (Some(next), Some(until - 1));
    }
}

/// Tells a person.
pub(super) fn print(all: &Preview) {
    if all.from >= all.until {
        say!("the route has passed nothing that could be looked at");
        return;
    }
    say!(
        "positions {} to {}: {} changes, {} events for a sink: {} as they were, {} otherwise, {} more, and {} less. Nothing was sent",
        all.from,
        all.until - 1,
        all.changes,
        all.sent,
        all.same,
        all.other,
        all.more,
        all.less
    );
    if all.failed > 0 {
        say!("    the plugin fails on {} of them or rejects them", all.failed);
    }
    if all.left_out > 0 {
        say!(
            "    {} changes are left out, for a part of them was erased",
            all.left_out
        );
    }
    all.differences.iter().for_each(print_difference);
    let told = all.differences.len() as u64;
    let differ = all.other + all.more + all.less;
    if differ > told {
        say!("and {} more that differ", differ - told);
    }
}

/// Two pages, one behind the other.
fn joined(mut all: Preview, page: Preview) -> Preview {
    let room = DIFFERENCES_SHOWN.saturating_sub(all.differences.len());
    all.differences.extend(page.differences.into_iter().take(room));
    Preview {
        from: all.from,
        next: page.next,
        until: page.until,
        changes: all.changes + page.changes,
        left_out: all.left_out + page.left_out,
        sent: all.sent + page.sent,
        same: all.same + page.same,
        other: all.other + page.other,
        more: all.more + page.more,
        less: all.less + page.less,
        failed: all.failed + page.failed,
        differences: all.differences,
    }
}

fn print_difference(difference: &EventDifference) {
    let kind = match difference.kind {
        EventDifferenceKind::Other => "says something else",
        EventDifferenceKind::More => "comes, and did not before",
        EventDifferenceKind::Less => "does not come any more",
    };
    say!(
        "position {}  {} to {}: {kind}",
        difference.position,
        printable(&difference.detail_type),
        printable(&difference.sink)
    );
    for field in &difference.fields {
        let shown = |value: Option<&str>| printable(value.unwrap_or("nothing"));
        say!(
            "    {}  {} before, {} now",
            printable(&field.path),
            shown(field.before.as_deref()),
            shown(field.after.as_deref())
        );
    }
}
