//! What an endpoint's answer says of the message.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::Outcome;
use crate::outcome::one_line;

/// Bytes of an answer that are read. What is short is read to its end, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Characters of an answer that are told.
const TOLD_CHARS_MAX: usize = 200;

/// The longest that an endpoint may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

pub(super) async fn read(response: Response) -> Outcome {
    let status = response.status();
    let after = retry_after(response.headers(), Timestamp::now());
    let body = read_body(response).await;
    if status.is_success() {
        return Outcome::Accepted;
    }
    let reason = describe(status, &body);
    match status.as_u16() {
        413 | 414 | 415 | 431 => Outcome::Refused { reason },
        429 | 502 | 503 | 504 => Outcome::Unavailable { reason, after },
        _ => Outcome::Retry { reason, after },
    }
}

/// The beginning of a body. One that breaks off changes nothing: the status has been said.
async fn read_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body
}

fn describe(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * TOLD_CHARS_MAX)]);
    let told = one_line(text.trim(), TOLD_CHARS_MAX);
    let hint = if status.is_redirection() {
        "; redirects are not followed"
    } else {
        ""
    };
    if told.is_empty() {
        format!("the endpoint answered {status}{hint}")
    } else {
        format!("the endpoint answered {status}{hint}: {told}")
    }
}

/// How long to wait: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// What kept an answer from coming, in one line, without the URL: that may hold what is nobody's business.
pub(super) fn explain(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "the endpoint did not answer in time"
    } else if error.is_connect() {
        "the endpoint cannot be reached"
    } else {
        "the endpoint did not answer"
    };
    let mut last = std::error::Error::source(error);
    while let Some(deeper) = last.and_then(std::error::Error::source) {
        last = Some(deeper);
    }
    match last {
        Some(cause) if !error.is_timeout() => format!("{what}: {cause}"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<u64>) {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, header.parse().unwrap())]);
        assert_eq!(
            retry_after(&headers, now),
            expected.map(Duration::from_secs),
            "{header}"
        );
    }

    /// RFC 9110, section 10.2.3.
    #[test]
    fn the_wait_that_is_asked_for_is_in_seconds_or_until_a_date_and_at_most_an_hour() {
        check("0", Some(0));
        check("120", Some(120));
        check("86400", Some(3600));
        check("99999999999999999999", None);
        check("-1", None);
        check("soon", None);
        check("Sun, 01 Mar 2026 12:01:30 GMT", Some(90));
        check("Sun, 01 Mar 2026 11:00:00 GMT", Some(0));
    }

    #[test]
    fn of_what_is_answered_a_line_is_told() {
        let answer = format!("no\n{}", "x".repeat(1000));
        let told = describe(StatusCode::BAD_REQUEST, answer.as_bytes());
        assert!(
            told.starts_with("the endpoint answered 400 Bad Request: no xxx"),
            "{told}"
        );
        assert!(told.len() < 300, "{told}");
        assert_eq!(
            describe(StatusCode::FOUND, b""),
            "the endpoint answered 302 Found; redirects are not followed"
        );
    }
}
