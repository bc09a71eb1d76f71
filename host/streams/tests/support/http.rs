//! An HTTP server of a few lines, on a free port of the loopback. It does what no framework lets a server do: hang up in
//! the middle.
//!
//! The tests of the sinks use it as well.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How far the server's clock is behind. The client library takes more than minutes for a reason to sign anew.
pub(crate) const BEHIND: jiff::SignedDuration = jiff::SignedDuration::from_secs(100);

/// A call: of AWS' JSON protocol, or of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The header `X-Amz-Target`: `AWSEvents.PutEvents`.
    pub(crate) target: String,
    /// All headers, their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body as it came.
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// What the server does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a JSON body.
    Json(u16, Value),
    /// A status and a body that is no JSON: an answer of something that stands between the client and the service, and
    /// whose clock goes right.
    Text(u16, &'static str),
    /// A status that promises the JSON body, and half of it.
    HalfOf(u16, Value),
    /// A status, a header and a body.
    With(u16, (&'static str, String), &'static str),
    /// The connection is reset.
    Reset,
    /// Nothing is answered.
    Hang,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                // A client that goes away ends its connection with an error, and nothing else.
                connections.spawn(async move { serve(connection, &*answer).await.unwrap_or_default() });
            }
        });
        Self { address, _tasks: tasks }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Answers the calls of one connection, until either side ends it.
async fn serve(connection: TcpStream, answer: &(impl Fn(Request) -> Reply + Sync)) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await? {
        let reply = answer(request);
        let mut time = match reply {
            Reply::Text(..) | Reply::With(..) => format!("date: {}", date(jiff::Timestamp::now())),
            _ => format!(
                "date: {}\r\nx-amzn-requestid: SCRIPTED",
                date(jiff::Timestamp::now() - BEHIND)
            ),
        };
        let (status, body, sent) = match reply {
            Reply::Json(status, body) => {
                let body = body.to_string();
                let length = body.len();
                (status, body, length)
            }
            Reply::Text(status, body) => (status, body.to_owned(), body.len()),
            Reply::With(status, (name, value), body) => {
                time.push_str(&format!("\r\n{name}: {value}"));
                (status, body.to_owned(), body.len())
            }
            Reply::HalfOf(status, body) => {
                let body = body.to_string();
                let half = body.len() / 2;
                (status, body, half)
            }
            Reply::Reset => {
                connection.get_ref().set_zero_linger()?;
                return Ok(());
            }
            Reply::Hang => std::future::pending().await,
        };
        // The client library waits this long before it tries again what it takes for passing, in place of seconds.
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-retry-after: 1\r\n\
             {time}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&body.as_bytes()[..sent]).await?;
        connection.flush().await?;
        if sent < body.len() {
            return Ok(());
        }
    }
    Ok(())
}

/// A time as the header has it (RFC 9110, section 5.6.7).
fn date(time: jiff::Timestamp) -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&time).unwrap()
}

/// The next call, or none if the client has hung up.
async fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        // The request line has a colon only if its path has one, and then it is neither of these.
        let (name, value) = line.split_once(':').unwrap_or_default();
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(Some(Request {
        target: headers.get("x-amz-target").cloned().unwrap_or_default(),
        headers,
        text: String::from_utf8(body.clone()).unwrap(),
        body: serde_json::from_slice(&body).unwrap(),
    }))
}
