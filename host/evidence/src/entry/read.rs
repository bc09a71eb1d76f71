//! Reads an entry: its members first, in the one order they may have, then each into what it has to be.

use std::borrow::Cow;

use jiff::Timestamp;
use weir_model::{Assurance, EventId, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};

use super::{
    Batch, BatchAfter, Closed, ConfigurationDigest, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, ErasureScope,
    ErasureStage, Gap, GapCause, HoldScope, HoldStage, Loss, Order, Origin, TIME_MS_MAX, VERSION,
};
use crate::canonical::{self, FlatValue};
use crate::{Commitment, ItemToken};

/// Most members that an entry has.
const MEMBERS_MAX: usize = 16;

impl Entry {
    /// Reads stored bytes.
    ///
    /// # Errors
    ///
    /// They are not the encoding of an entry, or of one of a kind or version that this Weir does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge {
                size_bytes: bytes.len(),
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EntryError::Malformed("it is not UTF-8"))?;
        let Some(members) = Members::read(text) else {
            return Err(not_flat(text));
        };
        members.entry()
    }
}

/// What is said of bytes that are not a flat object: a newer version may nest.
fn not_flat(text: &str) -> EntryError {
    if let Some(serde_json::Value::Object(object)) = canonical::parse(text)
        && let Some(version) = object.get("v").and_then(serde_json::Value::as_u64)
        && (version != VERSION
            || object
                .get("kind")
                .is_some_and(|kind| kind.as_str().is_some_and(|kind| !is_known(kind))))
    {
        return EntryError::OtherVersion;
    }
    EntryError::Malformed("it is not canonical")
}

fn is_known(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// Every kind that there is.
const KINDS: [&str; 9] = [
    "amendment",
    "batch",
    "change",
    "erasure",
    "gap",
    "hold",
    "lifecycle",
    "unknown",
    "withheld",
];

/// The members of an entry, taken one after the other.
struct Members<'a> {
    members: Vec<(&'a str, FlatValue<'a>)>,
    taken: usize,
    /// Behind the member that was taken last: the next one mostly stands here, for both are in order of names.
    next: usize,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut members = Vec::with_capacity(MEMBERS_MAX);
        canonical::read_flat_object(text, |name, value| members.push((name, value)))?;
        Some(Self {
            members,
            taken: 0,
            next: 0,
        })
    }

    fn peek(&self, name: &str) -> Option<&FlatValue<'a>> {
        self.find(name).map(|index| &self.members[index].1)
    }

    fn find(&self, name: &str) -> Option<usize> {
        let is_it = |index: &usize| self.members[*index].0 == name;
        (self.next..self.members.len()).chain(0..self.next).find(is_it)
    }

    fn entry(mut self) -> Result<Entry, EntryError> {
        let version = match self.peek("v") {
            Some(FlatValue::Integer(version)) => *version,
            _ => return Err(EntryError::Member { member: "v" }),
        };
        let kind = match self.peek("kind") {
            _ if version != VERSION => return Err(EntryError::OtherVersion),
            Some(FlatValue::Text(kind)) => kind.clone(),
            _ => return Err(EntryError::Member { member: "kind" }),
        };
        if !is_known(&kind) {
            return Err(EntryError::OtherVersion);
        }
        let ledger = match self.peek("ledger") {
            Some(FlatValue::Text(ledger)) => LedgerName::parse(ledger.clone())?,
            _ => return Err(EntryError::Member { member: "ledger" }),
        };
        let kind = match &*kind {
            "change" => self.change(false)?,
            "amendment" => self.change(true)?,
            "withheld" => self.withheld()?,
            "unknown" => self.unknown()?,
            "gap" => self.gap()?,
            "batch" => self.batch()?,
            "lifecycle" => self.lifecycle()?,
            "erasure" => {
                let bodies = self.optional("bodies", Self::integer)?;
                EntryKind::Erasure(self.order(bodies, ErasureScope::from_name, ErasureStage::from_name)?)
            }
            "hold" => EntryKind::Hold(self.order(None, HoldScope::from_name, HoldStage::from_name)?),
            _ => return Err(EntryError::OtherVersion),
        };
        // Besides those of its kind, `kind`, `ledger` and `v`.
        if self.taken + 3 != self.members.len() {
            return Err(EntryError::Malformed("it has members that its kind does not have"));
        }
        Ok(Entry { ledger, kind })
    }

    fn change(&mut self, is_amendment: bool) -> Result<EntryKind, EntryError> {
        Ok(EntryKind::Change {
            is_amendment,
            assurance: self.named("assurance", assurance)?,
            commitment: self.commitment()?,
            config: ConfigurationDigest(self.hex("config")?),
            event: EventId::parse(self.text("event")?)?,
            item: self.optional_item()?.ok_or(EntryError::Member { member: "item" })?,
            operation: self.named("operation", operation)?,
            sequence: self.sequence("sequence")?,
            origin: self.origin()?,
            table: self.text("table")?.into_owned(),
            time: self.time("time")?,
        })
    }

    fn withheld(&mut self) -> Result<EntryKind, EntryError> {
        Ok(EntryKind::Withheld {
            commitment: self.commitment()?,
            config: ConfigurationDigest(self.hex("config")?),
            event: EventId::parse(self.text("event")?)?,
            item: self.optional_item()?.ok_or(EntryError::Member { member: "item" })?,
            operation: self.named("operation", operation)?,
            sequence: self.sequence("sequence")?,
            origin: self.origin()?,
            table: self.text("table")?.into_owned(),
            time: self.time("time")?,
        })
    }

    fn unknown(&mut self) -> Result<EntryKind, EntryError> {
        Ok(EntryKind::Unknown {
            commitment: self.commitment()?,
            sequence: self.sequence("sequence")?,
            origin: self.origin()?,
            time: self.time("time")?,
        })
    }

    fn gap(&mut self) -> Result<EntryKind, EntryError> {
        Ok(EntryKind::Gap(Gap {
            after: self.optional("after", Self::sequence)?,
            cause: self.named("cause", GapCause::from_name)?,
            commitment: self.optional("commitment", |members, _| members.commitment())?,
            loss: self.named("loss", Loss::from_name)?,
            next: self.optional("next", Self::sequence)?,
            origin: self.origin()?,
            since: self.optional("since", Self::time)?,
            until: self.optional("until", Self::time)?,
        }))
    }

    fn batch(&mut self) -> Result<EntryKind, EntryError> {
        let after = match &*self.text("after")? {
            "start" => BatchAfter::Start,
            "gap" => BatchAfter::Gap,
            sequence => BatchAfter::Record(SequenceNumber::parse(sequence)?),
        };
        let first = self.optional("first", Self::sequence)?;
        let last = self.optional("last", Self::sequence)?;
        if first.is_some() != last.is_some() {
            return Err(EntryError::Malformed("it has one of `first` and `last`"));
        }
        Ok(EntryKind::Batch(Batch {
            after,
            closed: self.named("closed", Closed::from_name)?,
            config: ConfigurationDigest(self.hex("config")?),
            range: first.zip(last),
            read: self.integer("read")?,
            recorded: self.integer("recorded")?,
            redacted: self.integer("redacted")?,
            origin: self.origin()?,
        }))
    }

    fn lifecycle(&mut self) -> Result<EntryKind, EntryError> {
        Ok(EntryKind::Lifecycle {
            detail: self.text("detail")?.into_owned(),
            time: self.time("time")?,
            what: self.text("what")?.into_owned(),
        })
    }

    fn order<Scope, Stage>(
        &mut self,
        bodies: Option<u64>,
        scope: impl Fn(&str) -> Option<Scope>,
        stage: impl Fn(&str) -> Option<Stage>,
    ) -> Result<Order<Scope, Stage>, EntryError> {
        Ok(Order {
            bodies,
            commitment: self.commitment()?,
            id: self.text("id")?.into_owned(),
            item: self.optional_item()?,
            scope: self.named("scope", scope)?,
            stage: self.named("stage", stage)?,
            time: self.time("time")?,
        })
    }

    fn take(&mut self, member: &'static str) -> Result<FlatValue<'a>, EntryError> {
        let index = self.find(member).ok_or(EntryError::Member { member })?;
        self.taken += 1;
        self.next = index + 1;
        Ok(self.members[index].1.clone())
    }

    fn optional<T>(
        &mut self,
        member: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, EntryError>,
    ) -> Result<Option<T>, EntryError> {
        if self.peek(member).is_none() {
            return Ok(None);
        }
        read(self, member).map(Some)
    }

    fn text(&mut self, member: &'static str) -> Result<Cow<'a, str>, EntryError> {
        match self.take(member)? {
            FlatValue::Text(text) => Ok(text),
            FlatValue::Integer(_) => Err(EntryError::Member { member }),
        }
    }

    fn integer(&mut self, member: &'static str) -> Result<u64, EntryError> {
        match self.take(member)? {
            FlatValue::Integer(value) => Ok(value),
            FlatValue::Text(_) => Err(EntryError::Member { member }),
        }
    }

    fn named<T>(&mut self, member: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, EntryError> {
        read(&self.text(member)?).ok_or(EntryError::Member { member })
    }

    fn sequence(&mut self, member: &'static str) -> Result<SequenceNumber, EntryError> {
        SequenceNumber::parse(self.text(member)?).map_err(|_| EntryError::Member { member })
    }

    fn time(&mut self, member: &'static str) -> Result<Timestamp, EntryError> {
        let milliseconds = self.integer(member)?;
        let time = (milliseconds <= TIME_MS_MAX)
            .then(|| Timestamp::from_millisecond(milliseconds.cast_signed()).ok())
            .flatten();
        time.ok_or(EntryError::Member { member })
    }

    fn origin(&mut self) -> Result<Origin, EntryError> {
        Ok(Origin {
            shard: ShardId::parse(self.text("shard")?)?,
            stream: StreamArn::parse(self.text("stream")?)?,
        })
    }

    fn commitment(&mut self) -> Result<Commitment, EntryError> {
        Ok(Commitment(self.hex("commitment")?))
    }

    fn hex<const BYTES: usize>(&mut self, member: &'static str) -> Result<[u8; BYTES], EntryError> {
        canonical::read_hex(&self.text(member)?).ok_or(EntryError::Member { member })
    }

    fn optional_item(&mut self) -> Result<Option<ItemToken>, EntryError> {
        self.optional("item", |members, member| {
            let text = members.text(member)?;
            let token = text.split_once(':').and_then(|(key_id, token)| {
                canonical::read_hex::<4>(key_id)?;
                Some(ItemToken {
                    key_id: key_id.to_owned(),
                    token: canonical::read_hex(token)?,
                })
            });
            token.ok_or(EntryError::Member { member })
        })
    }
}

fn operation(name: &str) -> Option<Operation> {
    [Operation::Insert, Operation::Modify, Operation::Remove]
        .into_iter()
        .find(|operation| operation.as_str() == name)
}

fn assurance(name: &str) -> Option<Assurance> {
    use Assurance::{Claimed, Corroborated, LastWriter, Signed, System, Unknown};
    [Unknown, System, LastWriter, Claimed, Signed, Corroborated]
        .into_iter()
        .find(|assurance| assurance.as_str() == name)
}
