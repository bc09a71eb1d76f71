//! Writes an entry: its members in order of their names.

use jiff::Timestamp;

use super::{BatchAfter, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, Order, TIME_MS_MAX, VERSION};
use crate::{Commitment, ItemToken, canonical};

impl Entry {
    /// The bytes that are hashed and stored.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLarge`], a time before 1970 or after 9999, or a hold that says how many bodies it erased.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let mut object = ObjectWriter::new();
        let ledger = self.ledger.as_str();
        match &self.kind {
            EntryKind::Change {
                is_amendment,
                origin,
                commitment,
                sequence,
                event,
                operation,
                table,
                item,
                time,
                assurance,
                config,
            } => {
                object.text("assurance", assurance.as_str());
                object.commitment(commitment);
                object.hex("config", &config.0);
                object.text("event", event.as_str());
                object.item(item);
                object.text("kind", if *is_amendment { "amendment" } else { "change" });
                object.text("ledger", ledger);
                object.text("operation", operation.as_str());
                object.text("sequence", sequence.as_str());
                object.text("shard", origin.shard.as_str());
                object.text("stream", origin.stream.as_str());
                object.text("table", table);
                object.time("time", *time)?;
            }
            EntryKind::Withheld {
                origin,
                commitment,
                sequence,
                event,
                operation,
                table,
                item,
                time,
                config,
            } => {
                object.commitment(commitment);
                object.hex("config", &config.0);
                object.text("event", event.as_str());
                object.item(item);
                object.text("kind", "withheld");
                object.text("ledger", ledger);
                object.text("operation", operation.as_str());
                object.text("sequence", sequence.as_str());
                object.text("shard", origin.shard.as_str());
                object.text("stream", origin.stream.as_str());
                object.text("table", table);
                object.time("time", *time)?;
            }
            EntryKind::Unknown {
                origin,
                commitment,
                sequence,
                time,
            } => {
                object.commitment(commitment);
                object.text("kind", "unknown");
                object.text("ledger", ledger);
                object.text("sequence", sequence.as_str());
                object.text("shard", origin.shard.as_str());
                object.text("stream", origin.stream.as_str());
                object.time("time", *time)?;
            }
            EntryKind::Gap(gap) => {
                object.optional_text("after", gap.after.as_ref().map(|after| after.as_str()));
                object.text("cause", gap.cause.as_str());
                gap.commitment
                    .iter()
                    .for_each(|commitment| object.commitment(commitment));
                object.text("kind", "gap");
                object.text("ledger", ledger);
                object.text("loss", gap.loss.as_str());
                object.optional_text("next", gap.next.as_ref().map(|next| next.as_str()));
                object.text("shard", gap.origin.shard.as_str());
                object.optional_time("since", gap.since)?;
                object.text("stream", gap.origin.stream.as_str());
                object.optional_time("until", gap.until)?;
            }
            EntryKind::Batch(batch) => {
                let after = match &batch.after {
                    BatchAfter::Start => "start",
                    BatchAfter::Gap => "gap",
                    BatchAfter::Record(sequence) => sequence.as_str(),
                };
                let range = batch.range.as_ref();
                object.text("after", after);
                object.text("closed", batch.closed.as_str());
                object.hex("config", &batch.config.0);
                object.optional_text("first", range.map(|(first, _)| first.as_str()));
                object.text("kind", "batch");
                object.optional_text("last", range.map(|(_, last)| last.as_str()));
                object.text("ledger", ledger);
                object.integer("read", batch.read);
                object.integer("recorded", batch.recorded);
                object.integer("redacted", batch.redacted);
                object.text("shard", batch.origin.shard.as_str());
                object.text("stream", batch.origin.stream.as_str());
            }
            EntryKind::Lifecycle { time, what, detail } => {
                object.text("detail", detail);
                object.text("kind", "lifecycle");
                object.text("ledger", ledger);
                object.time("time", *time)?;
                object.integer("v", VERSION);
                object.text("what", what);
                return object.finish();
            }
            EntryKind::Erasure(order) => {
                object.order("erasure", ledger, order, order.scope.as_str(), order.stage.as_str())?;
            }
            EntryKind::Hold(order) => {
                if order.bodies.is_some() {
                    return Err(EntryError::Member { member: "bodies" });
                }
                object.order("hold", ledger, order, order.scope.as_str(), order.stage.as_str())?;
            }
        }
        object.integer("v", VERSION);
        object.finish()
    }
}

/// Writes one JSON object whose names come in order.
struct ObjectWriter {
    bytes: Vec<u8>,
    last_name: &'static str,
}

impl ObjectWriter {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(768),
            last_name: "",
        }
    }

    fn order<Scope, Stage>(
        &mut self,
        kind: &str,
        ledger: &str,
        order: &Order<Scope, Stage>,
        scope: &str,
        stage: &str,
    ) -> Result<(), EntryError> {
        order.bodies.iter().for_each(|bodies| self.integer("bodies", *bodies));
        self.commitment(&order.commitment);
        self.text("id", &order.id);
        order.item.iter().for_each(|item| self.item(item));
        self.text("kind", kind);
        self.text("ledger", ledger);
        self.text("scope", scope);
        self.text("stage", stage);
        self.time("time", order.time)
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        canonical::string(text, &mut self.bytes);
    }

    fn optional_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn commitment(&mut self, commitment: &Commitment) {
        self.hex("commitment", &commitment.0);
    }

    fn hex(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.bytes.push(b'"');
        canonical::hex(value, &mut self.bytes);
        self.bytes.push(b'"');
    }

    fn item(&mut self, item: &ItemToken) {
        self.name("item");
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(item.key_id.as_bytes());
        self.bytes.push(b':');
        canonical::hex(&item.token, &mut self.bytes);
        self.bytes.push(b'"');
    }

    fn integer(&mut self, name: &'static str, value: u64) {
        self.name(name);
        canonical::integer(value, &mut self.bytes);
    }

    fn time(&mut self, name: &'static str, time: Timestamp) -> Result<(), EntryError> {
        let milliseconds = u64::try_from(time.as_millisecond())
            .ok()
            .filter(|time| *time <= TIME_MS_MAX);
        self.integer(name, milliseconds.ok_or(EntryError::Member { member: name })?);
        Ok(())
    }

    fn optional_time(&mut self, name: &'static str, time: Option<Timestamp>) -> Result<(), EntryError> {
        time.map_or(Ok(()), |time| self.time(name, time))
    }

    fn name(&mut self, name: &'static str) {
        debug_assert!(self.last_name < name, "{name} comes before {}", self.last_name);
        self.last_name = name;
        self.bytes.push(if self.bytes.is_empty() { b'{' } else { b',' });
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn finish(mut self) -> Result<Vec<u8>, EntryError> {
        self.bytes.push(b'}');
        if self.bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge {
                size_bytes: self.bytes.len(),
            });
        }
        Ok(self.bytes)
    }
}
