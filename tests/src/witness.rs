//! A witness (C2SP `tlog-witness`) of our own, that remembers the newest tree of one log and cosigns what grew out of it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use weir_evidence::{Checkpoint, Cosigner, Hash, SignedCheckpoint, is_consistent};

use crate::serve;

/// A running witness.
pub struct TestWitness {
    url: String,
    seen: Arc<Mutex<Option<Checkpoint>>>,
}

#[derive(Clone)]
struct Memory {
    seen: Arc<Mutex<Option<Checkpoint>>>,
    cosigner: Arc<Cosigner>,
}

impl TestWitness {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub async fn start() -> Self {
        let seen = Arc::new(Mutex::new(None));
        let memory = Memory {
            seen: Arc::clone(&seen),
            cosigner: Arc::new(cosigner()),
        };
        let app = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .with_state(memory);
        let url = serve(app).await;
        Self { url, seen }
    }

    /// What a configuration says of it.
    #[must_use]
    pub fn config(&self) -> String {
        let key = cosigner().verifier_key();
        format!("[[ledger.witness]]\nkey = \"{key}\"\nurl = \"{}\"\n", self.url)
    }

    /// The policy line that names it.
    #[must_use]
    pub fn policy_line(&self) -> String {
        format!("witness w {}", cosigner().verifier_key())
    }

    /// The newest size that it cosigned.
    ///
    /// # Panics
    ///
    /// A request panicked.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.seen.lock().expect("no panic").as_ref().map_or(0, |seen| seen.size)
    }
}

fn cosigner() -> Cosigner {
    Cosigner::new("witness.example.com/w".to_owned(), &[9; 32]).expect("a name")
}

async fn add_checkpoint(State(memory): State<Memory>, body: String) -> (StatusCode, String) {
    answer(&memory, &body).unwrap_or((StatusCode::BAD_REQUEST, String::new()))
}

fn answer(memory: &Memory, body: &str) -> Option<(StatusCode, String)> {
    let (head, note) = body.split_once("\n\n")?;
    let mut lines = head.lines();
    let old: u64 = lines.next()?.strip_prefix("old ")?.parse().ok()?;
    let proof: Option<Vec<Hash>> = lines.map(decode).collect();
    let proof = proof?;
    let signed = SignedCheckpoint::parse(note.as_bytes()).ok()?;
    let new = signed.checkpoint();
    let mut seen = memory.seen.lock().expect("no panic");
    let has = seen.as_ref().map_or(0, |seen| seen.size);
    if old != has {
        return Some((StatusCode::CONFLICT, format!("{has}\n")));
    }
    let grew = match &*seen {
        Some(seen) => is_consistent(seen.size, &seen.root, new.size, &new.root, &proof),
        None => proof.is_empty(),
    };
    if !grew {
        return Some((StatusCode::UNPROCESSABLE_ENTITY, String::new()));
    }
    *seen = Some(new.clone());
    let now = u64::try_from(jiff::Timestamp::now().as_second()).ok()?;
    let line = memory.cosigner.cosign(signed.note().text(), now);
    Some((StatusCode::OK, format!("{line}\n")))
}

fn decode(line: &str) -> Option<Hash> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(line)
        .ok()?
        .try_into()
        .ok()
}
