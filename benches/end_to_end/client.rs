//! A client that costs little: HTTP/1.1 over one connection that stays.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files::UsersFile;

const BOUNDARY: &str = "bench-boundary";
/// Pause between two looks at a job, for each row of its file: a two-hundredth of what the import takes.
const PAUSE_PER_ROW: Duration = Duration::from_nanos(50);

/// A connection to a server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

/// What a server said.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What an import took.
pub(crate) struct Imported {
    /// Seconds until the 202 was read.
    pub(crate) accepted: f64,
    /// Seconds until `completed` was read.
    pub(crate) completed: f64,
    /// The job at its end.
    pub(crate) job: Value,
}

/// How soon a client looks again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// At once.
    Eager,
    /// So that the looks cost nothing to speak of, and the end is seen soon after it came.
    Calm,
}

/// What becomes of rows whose users are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Fail,
    Change,
}

impl Client {
    pub(crate) fn dial(address: &str, token: &str) -> Self {
        Self::try_dial(address, token).unwrap()
    }

    pub(crate) fn try_dial(address: &str, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// The answer to a GET; it must be a good one.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.head("GET", path, "");
        self.send(request.as_bytes());
        self.answer(path)
    }

    pub(crate) fn json(&mut self, path: &str) -> Value {
        self.get(path).json()
    }

    /// The answer to a POST of JSON; it must be a good one.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let more = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let request = self.head("POST", path, &more) + &body;
        self.send(request.as_bytes());
        self.answer(path).json()
    }

    /// Uploads a file; the id of its job.
    pub(crate) fn upload(&mut self, connection: &str, file: &UsersFile, existing: Existing) -> String {
        let upsert = existing == Existing::Change;
        let start = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"connection_id\"\r\n\r\n{connection}\r\n\
             --{BOUNDARY}\r\ncontent-disposition: form-data; name=\"upsert\"\r\n\r\n{upsert}\r\n\
             --{BOUNDARY}\r\ncontent-disposition: form-data; name=\"users\"; filename=\"users.json\"\r\n\r\n"
        );
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        let length = start.len() as u64 + file.bytes + end.len() as u64;
        let more =
            format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n");
        let path = "/api/v2/jobs/users-imports";
        let request = self.head("POST", path, &more) + &start;
        self.send(request.as_bytes());
        // From file to socket without a way through this process.
        io::copy(&mut file.open(), self.stream.get_mut()).unwrap();
        self.send(end.as_bytes());
        id_of(&self.answer(path).json())
    }

    /// Uploads a file and waits until its job has ended.
    pub(crate) fn import(
        &mut self,
        connection: &str,
        file: &UsersFile,
        existing: Existing,
        pace: Pace,
    ) -> Imported {
        let begun = Instant::now();
        let job = self.upload(connection, file, existing);
        let accepted = begun.elapsed().as_secs_f64();
        let pause = match pace {
            Pace::Eager => Duration::ZERO,
            Pace::Calm => PAUSE_PER_ROW * u32::try_from(file.rows).unwrap(),
        };
        let job = self.wait(&job, pause);
        Imported { accepted, completed: begun.elapsed().as_secs_f64(), job }
    }

    /// Uploads a file of new users, calmly; all of them must be in at the end.
    pub(crate) fn insert(&mut self, connection: &str, file: &UsersFile) -> Imported {
        let imported = self.import(connection, file, Existing::Fail, Pace::Calm);
        assert_eq!(imported.job["summary"]["inserted"], file.rows, "{}", imported.job);
        imported
    }

    /// Looks at a job until it has ended.
    pub(crate) fn wait(&mut self, job: &str, pause: Duration) -> Value {
        let path = format!("/api/v2/jobs/{job}");
        loop {
            let answer = self.get(&path);
            if !answer.is_pending() {
                let job = answer.json();
                assert_eq!(job["status"], "completed", "{job}");
                return job;
            }
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
    }

    fn head(&self, method: &str, path: &str, more: &str) -> String {
        let token = &self.token;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: intake.bench\r\nauthorization: Bearer {token}\r\n{more}\r\n"
        )
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    fn answer(&mut self, path: &str) -> Answer {
        let answer = Answer::read(&mut self.stream).unwrap();
        let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(1000)]);
        assert!((200..300).contains(&answer.status), "{path}: {} {text}", answer.status);
        answer
    }
}

impl Answer {
    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            from.read_line(&mut line)?;
            line.make_ascii_lowercase();
            assert!(!line.starts_with("transfer-encoding:"), "this reader knows no chunks");
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Self { status, body })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn is_pending(&self) -> bool {
        let wanted = br#""status":"pending""#;
        self.body.windows(wanted.len()).any(|bytes| bytes == wanted)
    }
}

/// The id of a job.
pub(crate) fn id_of(job: &Value) -> String {
    job["id"].as_str().unwrap().to_owned()
}
