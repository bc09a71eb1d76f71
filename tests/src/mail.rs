//! An SMTP server that we did not write (aiosmtpd), in a process of its own: with STARTTLS, a password, and a Maildir.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::aws::cache_folder;

/// Takes mail for everybody from whoever has the password, over TLS only.
const SERVE: &str = r#"
import ssl, sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

folder, certificate, key, port = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)

def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"weir", b"open sesame"), handled=False)

Controller(Mailbox(folder), hostname="127.0.0.1", server_hostname="localhost", port=int(port), tls_context=context, require_starttls=True,
           authenticator=authenticate, auth_required=True).start()
print("ready", flush=True)
threading.Event().wait()
"#;

/// A running server. It ends with the test.
pub struct MailServer {
    folder: tempfile::TempDir,
    port: u16,
    _child: Child,
}

impl MailServer {
    /// User name and password that it knows.
    pub const USER: (&'static str, &'static str) = ("weir", "open sesame");

    /// Starts it on the loopback.
    ///
    /// # Panics
    ///
    /// It is not installed, or does not start.
    pub async fn start() -> Self {
        let python = cache_folder().join("smtp/bin/python");
        assert!(
            python.exists(),
            "{} is not there: run `tests/setup tests`",
            python.display()
        );
        let folder = tempfile::tempdir().expect("a folder can be made");
        make_certificates(folder.path()).await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        drop(listener);
        let path = |name: &str| folder.path().join(name);
        let mut child = Command::new(python)
            .args(["-c", SERVE])
            .args([path("mail"), path("server.pem"), path("server.key")])
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = lines.next_line().await.expect("it says when it is ready");
        assert_eq!(ready.as_deref(), Some("ready"));
        Self {
            folder,
            port,
            _child: child,
        }
    }

    /// A `[sink.mail]` for it, without its templates.
    #[must_use]
    pub fn sink(&self) -> String {
        format!(
            "[sink.mail]\ntype = \"email\"\nserver = \"smtp://127.0.0.1:{}\"\nca_file = {:?}\nusername = \"{}\"\n\
             from = \"Weir <weir@example.com>\"\nto = [\"ops@example.com\"]\n",
            self.port,
            self.folder.path().join("ca.pem").display(),
            Self::USER.0,
        )
    }

    /// Messages that it took, in no order.
    ///
    /// # Panics
    ///
    /// They cannot be read.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        let folder: PathBuf = self.folder.path().join("mail/new");
        let Ok(files) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let read = |file: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(file.expect("a folder can be read").path()).expect("a message is text")
        };
        files.map(read).collect()
    }
}

/// An authority, and a certificate of it for 127.0.0.1.
async fn make_certificates(folder: &Path) {
    const COMMANDS: [&str; 3] = [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    ];
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").expect("a file can be written");
    for command in COMMANDS {
        let output = Command::new("openssl")
            .args(command.split(' '))
            .current_dir(folder)
            .output()
            .await
            .expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
