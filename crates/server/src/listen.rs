//! The listener: accept loop, TLS, deadlines, connection cap, draining.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::app::{App, Peer};
use crate::config::{Config, Connections, Transport};
use crate::limits::{
    CONNECTIONS_MAX, DRAIN, FIRST_REQUEST, HEADER_BYTES_MAX, HEADER_READ, STREAMS_MAX, TLS_POLL, WRITE_STALL,
};
use crate::log::Log;
use crate::patient::Patient;
use crate::routes::router;
use crate::tls::{Pair, TlsError};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be taken.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

/// A running server. Dropping it stops nothing: call [`Running::stop`].
pub struct Running {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    log: Arc<dyn Log>,
}

impl Running {
    /// The address that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From this call on SIGTERM and SIGINT no longer end the process; the result waits for one of them. To be called
    /// within a runtime, before anyone is told that the server is ready.
    pub fn signal() -> std::io::Result<impl Future<Output = ()> + Send + use<>> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        })
    }

    /// Stops accepting, lets running requests end, then closes the log, which signs a checkpoint over everything.
    ///
    /// Returned = the last checkpoint covers all that was acknowledged.
    pub async fn stop(self) -> Result<(), journal::Error> {
        self.stop.send_replace(true);
        if self.accepting.await.is_err() {
            tracing::error!("the listener ended abnormally");
        }
        let log = self.log;
        tokio::task::spawn_blocking(move || log.close())
            .await
            .unwrap_or_else(|_| Err(journal::Error::Unavailable("closing the log failed".into())))
    }
}

/// Binds and serves until stopped. `clock` counts nanoseconds since 1970.
pub async fn serve(config: &Config, log: Arc<dyn Log>, clock: ledger::Clock) -> Result<Running, ServeError> {
    let failed = |e| ServeError::Listen(config.listen, e);
    let tls = match &config.transport {
        Transport::Plain => None,
        Transport::Tls(files) => Some(Pair::open(files.clone())?),
    };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let (stop, stopping) = watch::channel(false);
    let app = Arc::new(App::new(Arc::clone(&log), clock, stopping.clone()));
    let acceptor = tls.map(|(pair, settings)| {
        drop(tokio::spawn(reload(pair, stopping.clone())));
        TlsAcceptor::from(settings)
    });
    let shell = Shell { router: router(&app), app, acceptor, stopping, connections: config.connections };
    let accepting = tokio::spawn(accept(listener, shell));
    tracing::info!(%addr, "listening");
    Ok(Running { addr, stop, accepting, log })
}

async fn reload(mut pair: Pair, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            () = tokio::time::sleep(TLS_POLL) => {}
        }
        match pair.refresh() {
            Ok(true) => tracing::info!("certificate and key were taken up again"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the changed certificate is not used; the old one stays"),
        }
    }
}

#[derive(Clone)]
struct Shell {
    app: Arc<App>,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    stopping: watch::Receiver<bool>,
    connections: Connections,
}

/// Half of the descriptors at most: a log that cannot open its next file stops, and strangers who only connect must not
/// be able to bring that about.
fn connections_of(descriptors: u64) -> usize {
    usize::try_from(descriptors / 2).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX)
}

async fn accept(listener: TcpListener, shell: Shell) {
    let most = connections_of(crate::real::descriptors());
    if most < CONNECTIONS_MAX {
        tracing::info!(most, "connections at one time, by the limit of open files");
    }
    let room = Arc::new(Semaphore::new(most));
    let addresses = Addresses::new(shell.connections, most);
    let mut stopping = shell.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let accepted = tokio::select! {
            _ = stopping.changed() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                shell.app.metrics.connections.add(1);
                let Some(place) = addresses.enter(peer.ip()) else {
                    // Closed without a word: an answer would cost what the cap is to save.
                    shell.app.metrics.address_refusals.add(1);
                    continue;
                };
                let shell = shell.clone();
                connections.spawn(async move {
                    connection(shell, stream, peer).await;
                    drop((place, permit));
                });
            }
            // Out of descriptors: others must end first, and a busy loop would not help them.
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("connections did not end in time and are cut");
    }
}

async fn connection(shell: Shell, stream: TcpStream, peer: SocketAddr) {
    // Answers are single small writes: waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = shell.acceptor.clone() else { return exchange(shell, stream, peer).await };
    match tokio::time::timeout(FIRST_REQUEST, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => exchange(shell, stream, peer).await,
        Ok(Err(_)) | Err(_) => shell.app.metrics.tls_failures.add(1),
    }
}

async fn exchange<S>(shell: Shell, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let http2 = Arc::new(AtomicBool::new(false));
    let (router, seen, newer) = (shell.router, Arc::clone(&asked), Arc::clone(&http2));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        newer.store(request.version() == Version::HTTP_2, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .max_buf_size(HEADER_BYTES_MAX.max(8192 * 8));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(HEADER_READ)
        .keep_alive_timeout(FIRST_REQUEST);
    let stream = Patient::new(stream, WRITE_STALL);
    let moved = stream.moved();
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let mut stopping = shell.stopping;
    let late = tokio::time::sleep(FIRST_REQUEST);
    tokio::pin!(late);
    let mut waiting = true;
    let mut open = true;
    let mut idle = tokio::time::interval(shell.connections.idle);
    idle.reset();
    let mut last = None;
    loop {
        tokio::select! {
            // A broken connection is the client's affair.
            _ = serving.as_mut() => return,
            () = late.as_mut(), if waiting => {
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                waiting = false;
            }
            // HTTP/1 has its own deadline for the next request's head.
            _ = idle.tick() => {
                let now = moved.get();
                let still = last.replace(now) == Some(now) && http2.load(Ordering::Relaxed);
                if still && open {
                    serving.as_mut().graceful_shutdown();
                    open = false;
                } else if still {
                    // Not even the goodbye is taken.
                    return;
                }
            }
            _ = stopping.changed(), if open => {
                serving.as_mut().graceful_shutdown();
                open = false;
            }
        }
    }
}

/// Connections by remote address.
struct Addresses {
    most: Connections,
    all: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place among those of its address, until it is dropped.
struct AddressPlace {
    key: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// IPv6 gives whoever has one address a /64 of them.
fn address_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        other => other,
    }
}

impl Addresses {
    fn new(most: Connections, all: usize) -> Addresses {
        Addresses { most, all, open: Arc::default() }
    }

    fn enter(&self, ip: IpAddr) -> Option<AddressPlace> {
        let key = address_key(ip);
        let most = if key.is_loopback() { self.most.loopback_max } else { self.most.address_max };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = open.entry(key).or_default();
        if *mine >= most.min(self.all - self.all / 8) {
            return None;
        }
        *mine += 1;
        Some(AddressPlace { key, open: Arc::clone(&self.open) })
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.key) {
            Some(mine) if *mine > 1 => *mine -= 1,
            _ => drop(open.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let most = Connections { address_max: 3, loopback_max: 5, ..Connections::default() };
        let ip = |text: &str| text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let enter = |addresses: &Addresses, text: &str, times: usize| -> Vec<AddressPlace> {
            (0..times).filter_map(|_| addresses.enter(ip(text))).collect()
        };
        let addresses = Addresses::new(most, 4096);
        let held = enter(&addresses, "192.0.2.1", 9);
        assert_eq!(held.len(), 3);
        assert!(addresses.enter(ip("::ffff:192.0.2.1")).is_none() && addresses.enter(ip("192.0.2.2")).is_some());
        assert_eq!((enter(&addresses, "127.0.0.1", 9).len(), enter(&addresses, "::1", 9).len()), (5, 5));
        let network = (enter(&addresses, "2001:db8::1", 2), enter(&addresses, "2001:db8::2", 2));
        assert_eq!((network.0.len(), network.1.len()), (2, 1));
        assert_eq!(enter(&addresses, "2001:db8:0:1::1", 9).len(), 3);
        drop((held, network));
        assert_eq!(enter(&addresses, "192.0.2.1", 9).len(), 3);
        assert!(addresses.open.lock().is_ok_and(|open| open.is_empty()));
        // Where there are few in all, one address does not take the last of them.
        assert_eq!(enter(&Addresses::new(Connections::default(), 16), "192.0.2.1", 99).len(), 14);
        assert_eq!(enter(&Addresses::new(Connections::default(), 1), "192.0.2.1", 99).len(), 1);
    }

    #[test]
    fn connections_leave_descriptors_for_the_log() {
        for (descriptors, most) in [(0, 1), (256, 128), (1_024, 512), (65_536, CONNECTIONS_MAX)] {
            assert_eq!(connections_of(descriptors), most);
        }
    }
}
