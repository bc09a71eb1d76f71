//! An SMTP server that does as a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::Trouble;
use crate::support::delivery;

/// What it does, and what it took.
#[derive(Default)]
pub(crate) struct Mails {
    pub(crate) requests: u64,
    pub(crate) taken: Vec<String>,
    /// What it says to a command in place of what is usual.
    pub(crate) says: HashMap<&'static str, &'static str>,
    /// Until it is calm.
    always: Option<Always>,
    /// For messages of these deliveries, once.
    once: HashMap<String, &'static str>,
    bytes_max: Option<usize>,
    says_nothing: bool,
    hangs_up: bool,
}

#[derive(Clone, Copy)]
enum Always {
    Reset,
    Says(&'static str),
}

impl Mails {
    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        let id = |number| delivery(number).to_string();
        match trouble {
            Trouble::TwoFail { passing, lasting } => {
                self.once = [
                    (id(passing), "451 4.3.0 try again"),
                    (id(lasting), "554 5.6.0 not this one"),
                ]
                .into();
            }
            Trouble::Down => self.always = Some(Always::Says("421 4.3.2 back soon")),
            Trouble::Throttles => self.always = Some(Always::Says("421 4.7.0 too many")),
            Trouble::Reset => self.always = Some(Always::Reset),
            Trouble::TakesAtMost { bytes, says_nothing } => {
                self.bytes_max = Some(bytes);
                self.says_nothing = says_nothing;
            }
            Trouble::TakesAndHangsUpOnce => self.hangs_up = true,
        }
    }

    pub(crate) fn calm(&mut self) {
        self.always = None;
    }

    /// The answer to a whole message; `None` hangs up.
    fn answer(&mut self, mail: String) -> Option<&'static str> {
        if self.bytes_max.is_some_and(|max| mail.len() > max) {
            return Some(if self.says_nothing {
                "552 "
            } else {
                "552 5.3.4 too large"
            });
        }
        if let Some(answer) = self.once.remove(&header(&mail, "X-Weir-Delivery")) {
            return Some(answer);
        }
        self.taken.push(mail);
        (!std::mem::take(&mut self.hangs_up)).then_some("250 2.0.0 taken")
    }
}

/// Starts it. It ends with the test.
pub(crate) async fn start(mails: Arc<Mutex<Mails>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&mails)));
        }
    });
    format!("smtp://{address}")
}

async fn serve(stream: TcpStream, mails: Arc<Mutex<Mails>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test ESMTP\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let (always, says) = {
            let mails = mails.lock().unwrap();
            (mails.always, mails.says.clone())
        };
        let command = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
        let answer = match (command.as_str(), always) {
            (_, Some(Always::Reset)) => return Ok(()),
            (command, _) if says.contains_key(command) => says[command],
            ("MAIL", _) => {
                mails.lock().unwrap().requests += 1;
                match always {
                    Some(Always::Says(text)) => text,
                    _ => "250 2.1.0 go on",
                }
            }
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let mail = read_mail(&mut stream).await?;
                let answer = mails.lock().unwrap().answer(mail);
                match answer {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            ("QUIT", _) => "221 2.0.0 bye",
            _ => "250 2.0.0 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// A message up to its final dot, as it was before dots were doubled.
async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line == ".\r\n" || line.is_empty() {
            return Ok(mail);
        }
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// A header of a message.
pub(crate) fn header(mail: &str, name: &str) -> String {
    let lines = mail.lines().take_while(|line| !line.is_empty());
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    values.next().unwrap_or_default().to_owned()
}

/// What a message of one part says (RFC 2045, section 6).
pub(crate) fn content(mail: &str) -> String {
    let (_, body) = mail.split_once("\r\n\r\n").unwrap();
    match header(mail, "Content-Transfer-Encoding").as_str() {
        "quoted-printable" => {
            let joined = body.replace("=\r\n", "");
            let mut bytes = Vec::new();
            let mut rest = joined.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                if *first == b'=' && after.len() >= 2 {
                    let digits = std::str::from_utf8(&after[..2]).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = &after[2..];
                } else {
                    bytes.push(*first);
                    rest = after;
                }
            }
            String::from_utf8(bytes).unwrap()
        }
        "base64" => {
            let bytes = STANDARD.decode(body.replace("\r\n", "")).unwrap();
            String::from_utf8(bytes).unwrap()
        }
        _ => body.to_owned(),
    }
}
