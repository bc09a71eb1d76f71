//! `weir event`: what events are like, for whoever receives them.

use std::process::ExitCode;

use weir_model::Event;

use crate::args::{EventArgs, EventCommand};
use crate::say;

pub(crate) fn event(args: &EventArgs) -> ExitCode {
    match args.command {
        EventCommand::Schema => say!("{}", Event::SCHEMA.trim_end()),
    }
    ExitCode::SUCCESS
}
