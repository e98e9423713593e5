//! Lanes: one thread a core, each with an event loop of its own. A session stays in the lane it was given, so that its
//! bytes go from socket to socket without waking another thread on the way.
//!
//! Not here: what a session does. What is shared by all (ledger, approvals, lists) is reached from every lane.

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Statements nest, and are read by recursion up to a fixed depth: that depth must fit. Address space, not memory.
pub const STACK: usize = 32 << 20;

struct Lane {
    handle: Handle,
    sessions: AtomicUsize,
}

/// The lanes of a gateway. They end with this value.
pub(crate) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    _stop: watch::Sender<()>,
}

impl Lanes {
    /// As many lanes as the machine has cores.
    ///
    /// # Errors
    /// The system has no thread or event loop to give.
    pub fn start() -> io::Result<Self> {
        let (stop, stopped) = watch::channel(());
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        let lanes = (0..cores).map(|number| lane(number, stopped.clone()));
        Ok(Self { lanes: lanes.collect::<io::Result<_>>()?, _stop: stop })
    }

    /// Hands a connection to the lane with the fewest.
    ///
    /// # Errors
    /// The connection cannot be moved; it is closed then.
    pub fn run<F, W>(&self, tcp: TcpStream, work: W) -> io::Result<()>
    where
        W: FnOnce(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let tcp = tcp.into_std()?;
        let lane = self.lanes.iter().min_by_key(|lane| lane.sessions.load(Ordering::Relaxed));
        let lane = lane.ok_or_else(|| io::Error::other("there is no lane"))?;
        let taken = Taken::of(lane);
        lane.handle.spawn(async move {
            let _taken = taken;
            // Registered with this lane's own event loop.
            match TcpStream::from_std(tcp) {
                Ok(tcp) => work(tcp).await,
                Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
            }
        });
        Ok(())
    }
}

/// Counts a session in its lane for as long as it lasts.
struct Taken(Arc<Lane>);

impl Taken {
    fn of(lane: &Arc<Lane>) -> Self {
        lane.sessions.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(lane))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lane(number: usize, mut stopped: watch::Receiver<()>) -> io::Result<Arc<Lane>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name(format!("sessions-{number}")).stack_size(STACK).spawn(move || {
        // The sender never sends; that it is gone is the word to end.
        runtime.block_on(async move { while stopped.changed().await.is_ok() {} });
    })?;
    Ok(Arc::new(Lane { handle, sessions: AtomicUsize::new(0) }))
}

#[cfg(test)]
mod tests {
    use super::Lanes;
    use std::collections::HashSet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn connections_are_spread_over_the_lanes_and_end_with_them() {
        let lanes = Lanes::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, mut told) = mpsc::channel(64);
        let mut clients = Vec::new();
        for _ in 0..2 * lanes.lanes.len() {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            lanes
                .run(tcp, move |mut tcp| async move {
                    tell.send(std::thread::current().name().unwrap().to_owned()).await.unwrap();
                    let mut byte = [0];
                    while tcp.read(&mut byte).await.is_ok_and(|read| read == 1) {
                        tcp.write_all(&byte).await.unwrap();
                    }
                })
                .unwrap();
            client.write_all(b"x").await.unwrap();
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, *b"x");
            clients.push(client);
        }
        let mut names = HashSet::new();
        while let Ok(name) = told.try_recv() {
            names.insert(name);
        }
        assert_eq!(names.len(), lanes.lanes.len());
        drop(lanes);
        for mut client in clients {
            assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
        }
    }
}
