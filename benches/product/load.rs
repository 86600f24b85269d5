//! Requests over connections that stay open: as little work as possible beside what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::process::TOKEN;
use super::{per_second, sorted};

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    /// Opens one.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and returns the status and the body of its answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, &[u8])> {
        self.send_raw(request(method, path, body).as_bytes()).await
    }

    async fn send_raw(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the server has closed the connection");
            if let Some((status, from, size)) = head(&self.answer)
                && self.answer.len() >= from + size
            {
                return Ok((status, &self.answer[from..from + size]));
            }
        }
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads the status, where the body begins and how long it is, once the head is whole.
fn head(answer: &[u8]) -> Option<(u16, usize, usize)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..end]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let size = text.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|size| size.parse().ok());
    Some((status, end + 4, size.unwrap_or_default()))
}

/// What a load came to.
pub(crate) struct Load {
    /// Requests a second.
    pub(crate) per_second: f64,
    /// How long each took, sorted, in milliseconds.
    pub(crate) times_ms: Vec<f64>,
}

/// Sends the same request over many connections until so many were answered with success.
pub(crate) async fn load(
    address: &str,
    (method, path, body): (&str, &str, &str),
    connections: usize,
    total: usize,
) -> anyhow::Result<Load> {
    let request: Arc<[u8]> = request(method, path, body).into_bytes().into();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for mut client in clients {
        let (request, taken) = (request.clone(), taken.clone());
        senders.spawn(async move {
            let mut times_ms = Vec::new();
            while taken.fetch_add(1, Ordering::Relaxed) < total {
                let sent = Instant::now();
                let (status, body) = client.send_raw(&request).await?;
                anyhow::ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(body));
                times_ms.push(milliseconds(sent.elapsed()));
            }
            Ok(times_ms)
        });
    }
    let mut times_ms = Vec::with_capacity(total);
    while let Some(sender) = senders.join_next().await {
        times_ms.extend(sender??);
    }
    Ok(Load { per_second: per_second(total, start), times_ms: sorted(times_ms) })
}

/// Returns a time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
