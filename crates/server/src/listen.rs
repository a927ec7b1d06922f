//! The listener: accept loop, TLS, deadlines, connection cap, draining.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use http::Request;
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
use crate::config::{Config, Transport};
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
    let shell = Shell { router: router(&app), app, acceptor, stopping };
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
                let shell = shell.clone();
                connections.spawn(async move {
                    connection(shell, stream, peer).await;
                    drop(permit);
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
    let (router, seen) = (shell.router, Arc::clone(&asked));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
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
    let serving = builder.serve_connection(TokioIo::new(Patient::new(stream, WRITE_STALL)), service);
    tokio::pin!(serving);
    let mut stopping = shell.stopping;
    let late = tokio::time::sleep(FIRST_REQUEST);
    tokio::pin!(late);
    let mut waiting = true;
    let mut open = true;
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
            _ = stopping.changed(), if open => {
                serving.as_mut().graceful_shutdown();
                open = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_log() {
        for (descriptors, most) in [(0, 1), (256, 128), (1_024, 512), (65_536, CONNECTIONS_MAX)] {
            assert_eq!(connections_of(descriptors), most);
        }
    }
}
