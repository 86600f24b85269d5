//! A way to a server that can be cut without anybody being told, or lead elsewhere.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    frozen: Arc<Mutex<CancellationToken>>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = Self { port, target: Arc::new(AtomicU16::new(target)), frozen: Arc::default() };
        let (target, frozen) = (Arc::clone(&proxy.target), Arc::clone(&proxy.frozen));
        tokio::spawn(async move {
            while let Ok((mut inner, _)) = listener.accept().await {
                let target = target.load(Ordering::SeqCst);
                let frozen = frozen.lock().expect("no test panics under this lock").clone();
                tokio::spawn(async move {
                    let Ok(mut outer) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                        // Both ends stay open, and nothing passes any more.
                        () = frozen.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Lets the connections there are hang for ever; new ones work.
    pub(crate) fn freeze(&self) {
        let mut frozen = self.frozen.lock().expect("no test panics under this lock");
        std::mem::take(&mut *frozen).cancel();
    }

    /// Leads new connections to another server; those there are stay.
    pub(crate) fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }
}
