//! The control endpoint: `POST /_simulator/<command>` does one, `GET /_simulator/<what>` tells.

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::command::Command;
use crate::request::Reply;
use crate::simulator::Simulator;

/// Answers a call under `/_simulator/`; `name` is the rest of the path.
pub(crate) fn answer(simulator: &Simulator, method: &Method, name: &str, body: &[u8]) -> Reply {
    let answer = match *method {
        Method::GET => tell(simulator, name),
        Method::POST => obey(simulator, name, body),
        _ => Err((405, "GET tells, and POST does".to_owned())),
    };
    match answer {
        Ok(body) => reply(200, &body),
        Err((status, message)) => reply(status, &json!({ "error": message })),
    }
}

fn tell(simulator: &Simulator, name: &str) -> Result<Value, (u16, String)> {
    let told = match name {
        "clock" => Ok(json!({ "now": simulator.now() })),
        "truth" => serde_json::to_value(simulator.truth()),
        "received" => serde_json::to_value(simulator.received()),
        "faults" => serde_json::to_value(simulator.waiting_faults()),
        "calls" => serde_json::to_value(simulator.calls()),
        "streams" => serde_json::to_value(simulator.truth().streams),
        _ => {
            let message =
                format!("there is nothing to tell of {name}: ask for clock, truth, received, faults, calls or streams");
            return Err((404, message));
        }
    };
    told.map_err(|error| (500, error.to_string()))
}

fn obey(simulator: &Simulator, name: &str, body: &[u8]) -> Result<Value, (u16, String)> {
    let refuse = |error: serde_json::Error| (400, error.to_string());
    let mut fields: Map<String, Value> = match body {
        [] => Map::new(),
        _ => serde_json::from_slice(body).map_err(refuse)?,
    };
    fields.insert("do".to_owned(), name.into());
    let command: Command = serde_json::from_value(fields.into()).map_err(refuse)?;
    simulator.apply(command).map_err(|error| (409, error.to_string()))
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        content_type: "application/json",
        body: format!("{body}\n"),
        changes: Vec::new(),
        date: None,
    }
}
