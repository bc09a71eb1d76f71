//! What a running instance can ask of its host, and how it is held to its limits.

mod wasi;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::{Error, ResourceLimiter, Result, bail};
use weir_model::{AttributeValue, AttributedChange};

use self::wasi::Facts;
use crate::batch::Asked as _;
use crate::batch::{as_text, pack, to_guest, to_number};
use crate::bindings::weir::plugin::{call_context, changes, logging, lookup, types};
use crate::{Batch, Limits, Manifest};

/// What a call into the host counts beside what it hands over: about what the crossing costs.
const HOST_CALL_BYTES: usize = 1024;

/// What an element of a list counts beside its content: about what it costs to find it, to copy it and to make room for it.
const ELEMENT_BYTES: usize = 64;

/// The same for a text that is packed with others.
const PACKED_BYTES: usize = 16;

/// State of one instance.
pub(crate) struct Host {
    limits: Limits,
    memory_bytes: usize,
    /// A memory was refused: the trap that follows is about that.
    pub(crate) memory_refused: bool,
    /// It read all that it may: the trap that follows is about that.
    pub(crate) reads_exhausted: bool,
    read_bytes_left: usize,
    log: Vec<LogLine>,
    log_lines_dropped: usize,
    call: Call,
    /// What the guest takes for time and chance, if it asks WASI for them.
    facts: Facts,
}

/// One line that the guest logged.
struct LogLine {
    index: Option<u32>,
    text: String,
}

/// What the instance is there for.
pub(crate) enum Call {
    /// Pure: every import traps.
    Describe,
    /// Changes, read as the manifest allows.
    Changes { batch: Batch, manifest: Arc<Manifest> },
}

impl Call {
    /// Of the first change: who asks WASI for them gets one change at a time. A description has none, and so the same always.
    fn facts(&self) -> Facts {
        match self {
            Self::Changes { batch, .. } => batch.get(0).map_or_else(Facts::default, |change| {
                Facts::new(change.created_at_ms(), seed(change))
            }),
            Self::Describe => Facts::default(),
        }
    }
}

impl Host {
    pub(crate) fn new(limits: Limits, call: Call) -> Self {
        Self {
            limits,
            memory_bytes: 0,
            memory_refused: false,
            reads_exhausted: false,
            read_bytes_left: limits.read_bytes_max,
            log: Vec::new(),
            log_lines_dropped: 0,
            facts: call.facts(),
            call,
        }
    }

    /// Linear memory of the instance.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What the instance was handed so far, as it counts.
    pub(crate) fn read_bytes(&self) -> usize {
        self.limits.read_bytes_max - self.read_bytes_left
    }

    /// Everything logged, one line each, and how much was dropped.
    pub(crate) fn log_text(&self) -> String {
        let mut text = self.log_lines(|_| true);
        if self.log_lines_dropped > 0 {
            text.push_str(&format!("\n({} more lines)", self.log_lines_dropped));
        }
        text
    }

    /// What was logged about one change of the batch.
    pub(crate) fn log_of(&self, index: u32) -> String {
        self.log_lines(|line| line.index == Some(index))
    }

    fn log_lines(&self, keep: impl Fn(&LogLine) -> bool) -> String {
        let lines: Vec<&str> = self
            .log
            .iter()
            .filter(|line| keep(line))
            .map(|line| line.text.as_str())
            .collect();
        lines.join("\n")
    }

    /// Keeps a line, if there is room for it.
    fn log_line(&mut self, level: &str, index: Option<u32>, message: &str) {
        if self.log.len() >= self.limits.log_lines_max {
            self.log_lines_dropped += 1;
            return;
        }
        let message = &message[..message.floor_char_boundary(self.limits.log_line_bytes_max)];
        self.log.push(LogLine {
            index,
            text: format!("{level} {}", one_line(message)),
        });
    }

    /// Counts what is handed to the guest. Reading costs the host more than it costs the guest in fuel, so it has a budget
    /// of its own; like fuel, it runs out at the same point on every machine.
    fn hand_over<T>(&mut self, read: T, bytes: impl FnOnce(&T) -> usize) -> Result<T> {
        let used = bytes(&read).saturating_add(HOST_CALL_BYTES);
        match self.read_bytes_left.checked_sub(used) {
            Some(left) => {
                self.read_bytes_left = left;
                Ok(read)
            }
            None => {
                self.reads_exhausted = true;
                bail!("the plugin read too much")
            }
        }
    }

    fn batch(&self) -> Result<(&Batch, &Manifest)> {
        match &self.call {
            Call::Changes { batch, manifest } => Ok((batch, manifest)),
            Call::Describe => bail!("`describe` may use no import: it must say the same every time"),
        }
    }

    fn change(&self, index: u32) -> Result<&AttributedChange> {
        let (batch, _) = self.batch()?;
        batch
            .get(index)
            .ok_or_else(|| Error::msg(format!("index {index} is outside the batch of {} changes", batch.len())))
    }

    /// The values of a field that may be read, one for each change.
    fn column<'host>(
        &'host self,
        field: &types::Field,
    ) -> Result<impl ExactSizeIterator<Item = Option<&'host AttributeValue>>> {
        let (batch, manifest) = self.batch()?;
        let (part, path) = (field.part, manifest.path(field)?);
        Ok(batch.changes().iter().map(move |change| change.value(part, &path)))
    }
}

/// What a column takes: each element has its place, whether it is there or not.
fn column_bytes<T>(column: &[Option<T>], bytes: impl Fn(&T) -> usize) -> usize {
    column
        .iter()
        .map(|element| ELEMENT_BYTES + element.as_ref().map_or(0, &bytes))
        .sum()
}

/// A message as one line: what would begin another is escaped.
fn one_line(message: &str) -> String {
    message
        .chars()
        .fold(String::with_capacity(message.len()), |mut line, character| {
            if character.is_control() {
                line.extend(character.escape_default())
            } else {
                line.push(character)
            }
            line
        })
}

fn value_bytes(value: &types::Value) -> usize {
    match value {
        types::Value::Null | types::Value::Boolean(_) => 0,
        types::Value::Number(text) | types::Value::Text(text) | types::Value::Document(text) => text.len(),
        types::Value::Binary(bytes) => bytes.len(),
        types::Value::TextSet(texts) | types::Value::NumberSet(texts) => {
            texts.iter().map(|text| ELEMENT_BYTES + text.len()).sum()
        }
        types::Value::BinarySet(binaries) => binaries.iter().map(|bytes| ELEMENT_BYTES + bytes.len()).sum(),
    }
}

impl types::Host for Host {}

impl changes::Host for Host {
    fn operations(&mut self) -> Result<Vec<types::Operation>> {
        let operations: Vec<_> = self
            .batch()?
            .0
            .changes()
            .iter()
            .map(|change| change.operation())
            .collect();
        self.hand_over(operations, Vec::len)
    }

    fn meta(&mut self, index: u32) -> Result<types::ChangeMeta> {
        let meta = self.change(index)?.meta();
        self.hand_over(meta, |meta| {
            meta.event_id.len() + meta.table.len() + meta.sequence_number.len()
        })
    }

    fn actors(&mut self) -> Result<Vec<Option<String>>> {
        let (batch, manifest) = self.batch()?;
        if !manifest.reads_actor {
            bail!("the manifest does not declare `reads-actor`");
        }
        let actors: Vec<_> = batch.changes().iter().map(|change| change.who.actor.clone()).collect();
        self.hand_over(actors, |actors| column_bytes(actors, String::len))
    }

    fn column(&mut self, field: types::Field) -> Result<Vec<Option<types::Value>>> {
        let values: Vec<_> = Host::column(self, &field)?.map(|value| value.map(to_guest)).collect();
        self.hand_over(values, |values| column_bytes(values, value_bytes))
    }

    fn texts(&mut self, field: types::Field) -> Result<Vec<Option<String>>> {
        let texts = Host::column(self, &field)?.map(|value| value.and_then(as_text).map(str::to_owned));
        let texts: Vec<_> = texts.collect();
        self.hand_over(texts, |texts| column_bytes(texts, String::len))
    }

    fn numbers(&mut self, field: types::Field) -> Result<Vec<Option<f64>>> {
        let numbers: Vec<_> = Host::column(self, &field)?
            .map(|value| value.and_then(to_number))
            .collect();
        self.hand_over(numbers, |numbers| column_bytes(numbers, |_| 8))
    }

    fn pack_texts(&mut self, field: types::Field) -> Result<changes::PackedTexts> {
        let texts = Host::column(self, &field)?.map(|value| value.and_then(as_text));
        let packed = pack(texts).ok_or_else(|| Error::msg("the texts of the column are more than 2 GiB"))?;
        self.hand_over(packed, |packed| packed.text.len() + PACKED_BYTES * packed.ends.len())
    }

    fn get(&mut self, index: u32, field: types::Field) -> Result<Option<types::Value>> {
        let path = self.batch()?.1.path(&field)?;
        let value = self.change(index)?.value(field.part, &path).map(to_guest);
        self.hand_over(value, |value| value.as_ref().map_or(0, value_bytes))
    }

    fn json(&mut self, index: u32, field: types::Field) -> Result<Option<String>> {
        let path = self.batch()?.1.path(&field)?;
        let json = self.change(index)?.json(field.part, &path);
        self.hand_over(json, |json| json.as_ref().map_or(0, String::len))
    }

    fn changed(&mut self, index: u32) -> Result<Vec<String>> {
        let declared = &self.batch()?.1.reads;
        let changed = self.change(index)?.changed(declared);
        self.hand_over(changed, |paths| paths.iter().map(String::len).sum())
    }
}

impl call_context::Host for Host {
    fn now_ms(&mut self, index: u32) -> Result<u64> {
        let now_ms = self.change(index)?.created_at_ms();
        self.hand_over(now_ms, |_| 8)
    }

    fn seed(&mut self, index: u32) -> Result<u64> {
        let seed = seed(self.change(index)?);
        self.hand_over(seed, |_| 8)
    }
}

/// A number that follows from the change's event id.
fn seed(change: &AttributedChange) -> u64 {
    let hash = Sha256::new_with_prefix(b"weir/seed/v1").chain_update(change.change.event_id.as_str());
    let hash = hash.finalize();
    let (seed, _) = hash.split_first_chunk().expect("32 bytes");
    u64::from_be_bytes(*seed)
}

impl lookup::Host for Host {
    fn get(&mut self, table: String, key: String) -> Result<Option<String>> {
        let (_, manifest) = self.batch()?;
        let value = manifest.table(&table)?.get(&key).map(str::to_owned);
        self.hand_over(value, |value| key.len() + value.as_ref().map_or(0, String::len))
    }
}

impl logging::Host for Host {
    fn log(&mut self, level: logging::Level, index: Option<u32>, message: String) -> Result<()> {
        self.batch()?;
        self.hand_over((), |()| message.len())?;
        let level = match level {
            logging::Level::Debug => "debug",
            logging::Level::Info => "info",
            logging::Level::Warn => "warn",
            logging::Level::Error => "error",
        };
        self.log_line(level, index, &message);
        Ok(())
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.limits.memory_bytes_max && maximum.is_none_or(|maximum| desired <= maximum);
        if allowed {
            self.memory_bytes = total;
        } else {
            self.memory_refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        /// Functions that a plugin refers to indirectly: compilers make a few thousand.
        const TABLE_ELEMENTS_MAX: usize = 100_000;
        let allowed = desired <= TABLE_ELEMENTS_MAX && maximum.is_none_or(|maximum| desired <= maximum);
        self.memory_refused |= !allowed;
        Ok(allowed)
    }
}
