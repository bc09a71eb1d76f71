//! What a shard's id says of its lineage.

use jiff::Timestamp;
use weir_model::ShardId;

/// When a shard was made, as its id says it: `shardId-<milliseconds since 1970, 20 digits>-<8 digits>`. The form is not
/// documented (observed 2026); `None` for an id of another form.
#[must_use]
pub fn made_at(shard: &ShardId) -> Option<Timestamp> {
    let (millis, _) = shard.as_str().strip_prefix("shardId-")?.split_once('-')?;
    let is_of_the_form = millis.len() == 20 && millis.bytes().all(|byte| byte.is_ascii_digit());
    let millis = millis.parse().ok().filter(|_| is_of_the_form)?;
    Timestamp::from_millisecond(millis).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shard: &str, made: Option<&str>) {
        let shard = ShardId::parse(shard).unwrap();
        assert_eq!(made_at(&shard).map(|time| time.to_string()).as_deref(), made);
    }

    /// streams.md 6: the age inside an id tells a trimmed parent from one that an answer left out.
    #[test]
    fn an_id_says_when_its_shard_was_made_and_another_form_says_nothing() {
        check("shardId-00000001772366400000-1a2b3c4d", Some("2026-03-01T12:00:00Z"));
        check("shardId-00000001772366400000", None);
        check("shardId-1772366400000-1a2b3c4d", None);
        check("shardId-0000000177236640000x-1a2b3c4d", None);
        check("shardId-99999999999999999999-1a2b3c4d", None);
        check("shard-1", None);
    }
}
