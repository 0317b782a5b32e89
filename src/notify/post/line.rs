//! A connection to a mail server on which nobody can talk without end.
//!
//! **Invariants**
//! - Between two of our writes no more than [`LONGEST_ANSWER`] bytes are read, so no answer takes more memory.
//! - Each answer has to be there as a whole within the given time after our last write; each part of a
//!   letter has as long to be taken.
//! - After a fault nothing more is read or written.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Most that is read until something is written, in bytes.
pub(super) const LONGEST_ANSWER: usize = 32 << 10;

/// A stream with bounds, in the clear or inside TLS.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    peer: SocketAddr,
    patience: Duration,
    /// Rings when the other side has had its time.
    alarm: Pin<Box<Sleep>>,
    /// A write that the other side has not taken yet had its time begin already.
    is_writing: bool,
    /// Bytes since the last write.
    heard: usize,
    /// Read before anything else.
    foreword: &'static [u8],
    is_broken: bool,
}

/// Why nothing more is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// Silent, or too slow.
    Late,
    /// More than any answer has.
    TooMuch,
    /// The end, where there should be an answer.
    HungUp,
    /// There was a fault before.
    Broken,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "the mail server took too long (mail.timeout)",
            Self::TooMuch => "the mail server says too much",
            Self::HungUp => "the mail server hung up",
            Self::Broken => "the connection to the mail server is broken",
        })
    }
}

impl std::error::Error for LineFault {}

impl From<LineFault> for io::Error {
    fn from(fault: LineFault) -> Self {
        let kind = match fault {
            LineFault::Late => io::ErrorKind::TimedOut,
            LineFault::TooMuch => io::ErrorKind::InvalidData,
            LineFault::HungUp => io::ErrorKind::UnexpectedEof,
            LineFault::Broken => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, fault)
    }
}

impl<S> Line<S> {
    /// The time for the first answer begins now.
    pub(super) fn new(stream: S, peer: SocketAddr, patience: Duration) -> Self {
        let alarm = Box::pin(sleep(patience));
        let (is_writing, heard, is_broken) = (false, 0, false);
        Self { stream, peer, patience, alarm, is_writing, heard, foreword: &[], is_broken }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The same with words that are read before those of the other side.
    pub(super) fn with_foreword(self, foreword: &'static [u8]) -> Self {
        Self { foreword, ..self }
    }

    /// The other side's time begins anew.
    fn begin_turn(&mut self) {
        self.alarm.as_mut().reset(Instant::now() + self.patience);
        self.heard = 0;
    }

    /// Tries something until the alarm rings.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.is_broken {
            return Poll::Ready(Err(LineFault::Broken.into()));
        }
        let outcome = match self.alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Err(LineFault::Late.into()),
            Poll::Pending => ready!(attempt(self, cx)),
        };
        self.is_broken = outcome.is_err();
        Poll::Ready(outcome)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.foreword.is_empty() {
            let (now, later) = self.foreword.split_at(self.foreword.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.foreword = later;
            return Poll::Ready(Ok(()));
        }
        self.in_time(cx, |line, cx| {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut line.stream).poll_read(cx, buffer))?;
            let read = buffer.filled().len() - before;
            line.heard += read;
            Poll::Ready(match read {
                0 => Err(LineFault::HungUp.into()),
                _ if LONGEST_ANSWER < line.heard => Err(LineFault::TooMuch.into()),
                _ => Ok(()),
            })
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_writing {
            self.begin_turn();
            self.is_writing = true;
        }
        self.in_time(cx, |line, cx| {
            let written = ready!(Pin::new(&mut line.stream).poll_write(cx, bytes))?;
            line.begin_turn();
            line.is_writing = false;
            Poll::Ready(Ok(written))
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx, |line, cx| Pin::new(&mut line.stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx, |line, cx| Pin::new(&mut line.stream).poll_shutdown(cx))
    }
}

impl<S> AsyncTokioStream for Line<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(500);

    /// A line, and its other end, with room for so many bytes between them.
    fn line(room: usize) -> (Line<DuplexStream>, DuplexStream) {
        let (here, there) = duplex(room);
        (Line::new(here, (Ipv4Addr::LOCALHOST, 25).into(), SHORT), there)
    }

    fn play<T>(scene: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(scene)
    }

    fn fault(error: &io::Error) -> LineFault {
        *error.get_ref().unwrap().downcast_ref().unwrap()
    }

    #[test]
    fn an_answer_may_be_so_long_and_not_a_byte_longer() {
        play(async {
            let (mut line, mut there) = line(3 * LONGEST_ANSWER);
            for _ in 0..2 {
                there.write_all(&vec![b'a'; LONGEST_ANSWER]).await.unwrap();
                line.read_exact(&mut vec![0; LONGEST_ANSWER]).await.unwrap();
                line.write_all(b"NOOP\r\n").await.unwrap();
            }
            there.write_all(&vec![b'a'; LONGEST_ANSWER + 1]).await.unwrap();
            let error = line.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(fault(&error), LineFault::TooMuch);
            // Not even to say goodbye, which would give it another turn.
            let error = line.write_all(b"QUIT\r\n").await.unwrap_err();
            assert_eq!(fault(&error), LineFault::Broken);
            assert_eq!(fault(&line.read_u8().await.unwrap_err()), LineFault::Broken);
        });
    }

    #[test]
    fn an_answer_has_to_be_whole_in_time_however_it_comes() {
        play(async {
            let (mut line, mut there) = line(64);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(SHORT / 10).await;
                    there.write_all(b"2").await.unwrap();
                }
            });
            let begun = Instant::now();
            let error = line.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(fault(&error), LineFault::Late);
            assert!(SHORT <= begun.elapsed(), "{:?}", begun.elapsed());
        });
    }

    #[test]
    fn what_is_taken_steadily_may_take_longer_than_an_answer() {
        play(async {
            let (mut line, mut there) = line(64);
            let begun = Instant::now();
            let take = tokio::spawn(async move {
                for _ in 0..20 {
                    tokio::time::sleep(SHORT / 10).await;
                    there.read_exact(&mut [0; 64]).await.unwrap();
                }
                there.write_all(b"250 taken\r\n").await.unwrap();
                there
            });
            line.write_all(&[b'a'; 20 * 64]).await.unwrap();
            line.read_exact(&mut [0; 11]).await.unwrap();
            let _there = take.await.unwrap();
            assert!(SHORT < begun.elapsed(), "{:?}", begun.elapsed());
            // An idle connection is none that is late.
            tokio::time::sleep(SHORT * 2).await;
            line.write_all(b"NOOP\r\n").await.unwrap();
            // But one that takes nothing more is.
            let error = line.write_all(&[b'a'; 128]).await.unwrap_err();
            assert_eq!(fault(&error), LineFault::Late);
        });
    }

    #[test]
    fn an_end_is_no_answer() {
        play(async {
            let (mut line, there) = line(64);
            drop(there);
            assert_eq!(fault(&line.read_u8().await.unwrap_err()), LineFault::HungUp);
        });
    }
}
