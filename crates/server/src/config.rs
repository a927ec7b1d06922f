//! Settings in two levels: as typed, and resolved. Reads no environment; the binary fills the first.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;

/// As typed: options may be missing or contradict each other.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Data folder.
    pub data: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address clients use: `http(s)://host[:port]`.
    pub public_url: Option<String>,
    /// Certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// A proxy in front ends TLS.
    pub behind_tls_proxy: bool,
    /// Pin file.
    pub pin: Option<PathBuf>,
    /// Folder for the default pin: the user's state folder.
    pub state_folder: PathBuf,
    /// Start although no pin knows the data.
    pub accept_first_start: bool,
}

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// How the listener speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1 and HTTP/2 with prior knowledge.
    Plain,
    /// TLS with ALPN.
    Tls(TlsFiles),
}

/// Resolved: every setting has its value.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data folder.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How the listener speaks.
    pub transport: Transport,
    /// Host of the public URL, fixed in the origin of ledgers created from now on.
    pub host: Option<String>,
    /// Where the pin lies.
    pub pin: journal::PinChoice,
    /// Start although no pin knows the data.
    pub accept_first_start: bool,
    /// Settings of every ledger.
    pub ledger: ledger::Config,
    /// What connections may do.
    pub connections: Connections,
}

/// What connections may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// [`limits::ADDRESS_CONNECTIONS_MAX`].
    pub address_max: usize,
    /// [`limits::LOOPBACK_CONNECTIONS_MAX`].
    pub loopback_max: usize,
    /// [`limits::IDLE`].
    pub idle: Duration,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            address_max: limits::ADDRESS_CONNECTIONS_MAX,
            loopback_max: limits::LOOPBACK_CONNECTIONS_MAX,
            idle: limits::IDLE,
        }
    }
}

/// A setting that cannot be honoured; the server does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An open listener would send tokens in the clear.
    #[error(
        "refusing to listen on {0}, which is not loopback, without TLS: give --tls-cert and --tls-key, or \
         --behind-tls-proxy if a proxy in front ends TLS"
    )]
    OpenListener(SocketAddr),
    /// One of two files that belong together.
    #[error("--tls-cert and --tls-key belong together: {0} is missing")]
    HalfTls(&'static str),
    /// Not a URL that clients could use.
    #[error("--public-url must be http://HOST or https://HOST with an optional port and nothing behind it")]
    PublicUrl,
}

impl ConfigFile {
    /// Settings of a server on loopback with everything else left to its default.
    pub fn new(data: PathBuf, listen: SocketAddr, state_folder: PathBuf) -> ConfigFile {
        ConfigFile {
            data,
            listen,
            public_url: None,
            tls_cert: None,
            tls_key: None,
            behind_tls_proxy: false,
            pin: None,
            state_folder,
            accept_first_start: false,
        }
    }

    /// Checks and fills in.
    ///
    /// Errors: an open listener without TLS, half of a TLS pair, a public URL that names no host.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let transport = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Transport::Tls(TlsFiles { cert, key }),
            (None, None) => Transport::Plain,
            (Some(_), None) => return Err(ConfigError::HalfTls("--tls-key")),
            (None, Some(_)) => return Err(ConfigError::HalfTls("--tls-cert")),
        };
        if transport == Transport::Plain && !self.listen.ip().is_loopback() && !self.behind_tls_proxy {
            return Err(ConfigError::OpenListener(self.listen));
        }
        let host = self.public_url.as_deref().map(host_of).transpose()?;
        let pin = match self.pin {
            Some(file) => journal::PinChoice::File(file),
            None => journal::PinChoice::InFolder(self.state_folder),
        };
        Ok(Config {
            data: self.data,
            listen: self.listen,
            transport,
            host,
            pin,
            accept_first_start: self.accept_first_start,
            ledger: ledger::Config::of_this_machine(),
            connections: Connections::default(),
        })
    }
}

fn host_of(url: &str) -> Result<String, ConfigError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(ConfigError::PublicUrl)?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || host.len() > 200 || !host.bytes().all(allowed) {
        return Err(ConfigError::PublicUrl);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(listen: &str) -> ConfigFile {
        ConfigFile::new("d".into(), listen.parse().unwrap_or_else(|_| unreachable!()), "s".into())
    }

    #[test]
    fn an_open_listener_needs_tls_or_a_proxy() {
        for (listen, proxy, tls, refused) in [
            ("127.0.0.1:1", false, false, false),
            ("[::1]:1", false, false, false),
            ("0.0.0.0:1", false, false, true),
            ("10.1.2.3:1", false, false, true),
            ("[::]:1", false, false, true),
            ("0.0.0.0:1", true, false, false),
            ("0.0.0.0:1", false, true, false),
        ] {
            let mut file = typed(listen);
            file.behind_tls_proxy = proxy;
            if tls {
                file.tls_cert = Some("c".into());
                file.tls_key = Some("k".into());
            }
            assert_eq!(matches!(file.resolve(), Err(ConfigError::OpenListener(_))), refused, "{listen}");
        }
    }

    #[test]
    fn half_of_a_tls_pair_is_refused() {
        let mut file = typed("127.0.0.1:1");
        file.tls_cert = Some("c".into());
        assert_eq!(file.resolve().err(), Some(ConfigError::HalfTls("--tls-key")));
    }

    #[test]
    fn the_host_of_a_public_url() {
        for (url, host) in [
            ("https://log.example.com", Some("log.example.com")),
            ("https://Log.example.com:8443/", Some("log.example.com:8443")),
            ("log.example.com", None),
            ("https://", None),
            ("https://a/b", None),
            ("https://user@a", None),
            ("ftp://a", None),
        ] {
            assert_eq!(host_of(url).ok().as_deref(), host, "{url}");
        }
    }
}
