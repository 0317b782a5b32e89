//! Mail servers that mean harm, and people in the middle: what they can do is keep letters waiting.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::helpers::{PATIENCE, Server, until};
use crate::mail::{ONE_ROW, OWNER, certificate, outbox};

/// More than anybody may say at once, and less than would hurt this machine.
const MUCH: u64 = 32 << 20;
/// What may have been read, or lie in the buffers of the system, when it was too much.
const LITTLE: u64 = 8 << 20;

type Way = dyn Fn(&mut BufReader<TcpStream>) -> io::Result<()> + Send + Sync;

/// A mail server of this kind; tells its port.
fn serve(way: impl Fn(&mut BufReader<TcpStream>) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let way: Arc<Way> = Arc::new(way);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let way = way.clone();
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                // It fails when the other side has had enough of it.
                let _ = way(&mut BufReader::new(stream));
            });
        }
    });
    port
}

/// Says something, and waits for the next line if there is one.
fn say<S: Read + Write>(stream: &mut BufReader<S>, words: impl AsRef<[u8]>) -> io::Result<String> {
    stream.get_mut().write_all(words.as_ref())?;
    stream.get_mut().flush()?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line)
}

/// Says the same over and over; counts the bytes.
fn pour(stream: &mut impl Write, words: &[u8], poured: &AtomicU64) -> io::Result<()> {
    let some = words.repeat(1 + 16_384 / words.len());
    let mut left = MUCH;
    while let Some(rest) = left.checked_sub(some.len() as u64) {
        stream.write_all(&some)?;
        poured.fetch_add(some.len() as u64, Ordering::Relaxed);
        left = rest;
    }
    thread::sleep(PATIENCE);
    Ok(())
}

/// Says one byte after the other.
fn drip(stream: &mut impl Write, words: &[u8]) -> io::Result<()> {
    for byte in words.iter().cycle() {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The same server inside TLS, with the key of this file.
fn encrypted(stream: TcpStream, key: &Path) -> BufReader<StreamOwned<ServerConnection, TcpStream>> {
    let certificates = CertificateDer::pem_file_iter(key).unwrap().map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    BufReader::new(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream))
}

/// What a letter to the server at this port came to: its entry in the outbox, and the log at level trace.
fn fate(port: u16, security: &str, ca_file: Option<&str>, attempts: u64) -> (Option<Value>, String) {
    let files = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = files.path().join("log");
    let port = port.to_string();
    let settings = [
        OWNER,
        ("INTAKE_LOG_LEVEL", "trace"),
        ("INTAKE_MAIL_TRANSPORT", "smtp"),
        ("INTAKE_MAIL_SMTP_HOST", "127.0.0.1"),
        ("INTAKE_MAIL_SMTP_PORT", &port),
        ("INTAKE_MAIL_SMTP_SECURITY", security),
        ("INTAKE_MAIL_SMTP_CA_FILE", ca_file.unwrap_or_default()),
        ("INTAKE_MAIL_TIMEOUT", "1s"),
        ("INTAKE_MAIL_RETRY_FIRST", "100ms"),
        ("INTAKE_MAIL_RETRY_LONGEST", "200ms"),
    ];
    let server = Server::logging_to(&log, directory.path(), &settings);
    server.import(ONE_ROW, false);
    let letter = until("the letter was tried, or is gone", || match outbox(&server).pop() {
        None => Some(None),
        Some(letter) => (Some(attempts) <= letter["attempts"].as_u64() || letter["status"] == "given_up")
            .then_some(Some(letter)),
    });
    assert!(server.stop().success());
    (letter, fs::read_to_string(log).unwrap())
}

fn last_answer(letter: Option<Value>) -> String {
    letter.expect("nobody took the letter")["last_answer"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_said_in_the_clear_counts_for_nothing_once_tls_has_begun() {
    let files = tempfile::tempdir().unwrap();
    let (trusted, both) = certificate(files.path());
    for forged in ["250 mx\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n", "2", "\n"] {
        let key = Path::new(&both).to_owned();
        let port = serve(move |stream| {
            say(stream, "220 mx ESMTP\r\n")?;
            say(stream, "250-mx\r\n250 STARTTLS\r\n")?;
            stream.get_mut().write_all(format!("220 go on\r\n{forged}").as_bytes())?;
            // The real server, which has nothing to say to the letter.
            encrypted(stream.get_ref().try_clone()?, &key).read_to_end(&mut Vec::new()).map(drop)
        });
        let answer = last_answer(fate(port, "starttls", Some(&trusted), 1).0);
        assert_eq!(answer, "the mail server said more than it was asked before TLS began");
    }
}

#[test]
fn a_server_that_never_stops_talking_is_left() {
    let files = tempfile::tempdir().unwrap();
    let (trusted, both) = certificate(files.path());
    let poured = Arc::new(AtomicU64::new(0));
    let check = |security: &str, way: fn(&mut BufReader<TcpStream>, &Path, &AtomicU64) -> io::Result<()>| {
        poured.store(0, Ordering::Relaxed);
        let (key, count) = (Path::new(&both).to_owned(), poured.clone());
        let port = serve(move |stream| way(stream, &key, &count));
        let answer = last_answer(fate(port, security, Some(&trusted), 1).0);
        assert!(answer.contains("the mail server says too much"), "{answer}");
        let poured = poured.load(Ordering::Relaxed);
        assert!(poured < LITTLE, "{poured} bytes were read by then");
    };
    check("none", |stream, _, poured| pour(stream.get_mut(), b"a", poured));
    check("starttls", |stream, _, poured| pour(stream.get_mut(), b"a", poured));
    check("none", |stream, _, poured| {
        say(stream, "220 mx ESMTP\r\n")?;
        pour(stream.get_mut(), b"250-and\r\n", poured)
    });
    check("starttls", |stream, _, poured| {
        say(stream, "220 mx ESMTP\r\n")?;
        pour(stream.get_mut(), b"250-and\r\n", poured)
    });
    check("tls", |stream, key, poured| {
        let mut stream = encrypted(stream.get_ref().try_clone()?, key);
        say(&mut stream, "220 mx ESMTP\r\n")?;
        pour(stream.get_mut(), b"a", poured)
    });
}

#[test]
fn a_server_that_drips_has_no_longer_for_an_answer_than_any_other() {
    let files = tempfile::tempdir().unwrap();
    let (trusted, both) = certificate(files.path());
    let check = |security: &str, way: fn(&mut BufReader<TcpStream>, &Path) -> io::Result<()>| {
        let key = Path::new(&both).to_owned();
        let port = serve(move |stream| way(stream, &key));
        let answer = last_answer(fate(port, security, Some(&trusted), 2).0);
        assert!(answer.contains("the mail server took too long"), "{answer}");
    };
    check("none", |stream, _| drip(stream.get_mut(), b"2"));
    check("starttls", |stream, _| {
        say(stream, "220 mx ESMTP\r\n")?;
        drip(stream.get_mut(), b"250-and\r\n")
    });
    // The head of a long record of the handshake, and that never whole.
    check("tls", |stream, _| {
        stream.get_mut().write_all(&[22, 3, 3, 64, 0])?;
        drip(stream.get_mut(), &[2])
    });
    check("tls", |stream, key| {
        let mut stream = encrypted(stream.get_ref().try_clone()?, key);
        say(&mut stream, "220 mx ESMTP\r\n")?;
        drip(stream.get_mut(), b"250-and\r\n")
    });
}

#[test]
fn what_a_server_says_is_for_the_owners_and_in_no_log() {
    let check = |security: &str, way: fn(&mut BufReader<TcpStream>) -> io::Result<()>| {
        let (letter, log) = fate(serve(way), security, None, 1);
        let answer = last_answer(letter);
        assert!(answer.contains("eve@example.test"), "the owners are told: {answer}");
        assert!(!log.contains("example.test"), "{log}");
        let told = [
            "letters wait, as none can be sent (the mail server ",
            "was refused for good (the mail server said 5",
        ];
        assert!(told.iter().any(|words| log.contains(words)), "{log}");
    };
    check("none", |stream| say(stream, "hello eve@example.test\r\n").map(drop));
    check("starttls", |stream| say(stream, "hello eve@example.test\r\n").map(drop));
    check("none", |stream| say(stream, "554 go away, eve@example.test\r\n").map(drop));
    check("starttls", |stream| say(stream, "554-go away,\r\n554 eve@example.test\r\n").map(drop));
    check("starttls", |stream| {
        say(stream, "220 mx ESMTP\r\n")?;
        say(stream, "250-mx\r\n250 STARTTLS\r\n")?;
        say(stream, "454 not now, eve@example.test\r\n").map(drop)
    });
    check("none", |stream| {
        say(stream, "220 mx ESMTP\r\n")?;
        say(stream, "250 mx\r\n")?;
        say(stream, "25O eve@example.test\r\n").map(drop)
    });
    check("none", |stream| {
        say(stream, "220 mx ESMTP\r\n")?;
        say(stream, "250 mx\r\n")?;
        say(stream, "550 not from eve@example.test\r\n").map(drop)
    });
}
