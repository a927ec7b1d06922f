//! TLS from certificate and key files, taken up again when they change.
//!
//! Reads those two files; a pair that does not fit leaves the old one in force and is logged.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Once, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;
use crate::limits::TLS_FILE_BYTES_MAX;

/// Certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No certificate, no key, or two that do not belong together.
    #[error("{file}: {what}")]
    Unusable {
        /// Which.
        file: String,
        /// What is wrong; never holds key bytes.
        what: &'static str,
    },
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Library(#[from] rustls::Error),
}

/// Two providers in one graph panic at run time, so the process takes one, once.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The pair in force and what it was read from.
pub(crate) struct Pair {
    files: TlsFiles,
    current: Arc<Current>,
    digest: [u8; 32],
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { file: path.display().to_string(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(TLS_FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

fn digest(cert: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [cert, key] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn load(files: &TlsFiles) -> Result<([u8; 32], Arc<CertifiedKey>), TlsError> {
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    Ok((digest(&cert, &key), certified(files, &cert, &key)?))
}

fn certified(files: &TlsFiles, cert: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let unusable = |path: &Path, what| TlsError::Unusable { file: path.display().to_string(), what };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable(&files.cert, "is not PEM"))?;
    if chain.is_empty() {
        return Err(unusable(&files.cert, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unusable(&files.key, "holds no private key in PEM"))?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|_| unusable(&files.key, "holds a key of an unknown kind"))?;
    let pair = CertifiedKey::new(chain, key);
    pair.keys_match().map_err(|_| unusable(&files.key, "does not belong to the certificate"))?;
    Ok(Arc::new(pair))
}

impl Pair {
    /// Loads the pair and makes the listener's settings.
    pub(crate) fn open(files: TlsFiles) -> Result<(Pair, Arc<rustls::ServerConfig>), TlsError> {
        install_provider();
        let (digest, pair) = load(&files)?;
        let current = Arc::new(Current(RwLock::new(pair)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((Pair { files, current, digest }, Arc::new(config)))
    }

    /// Looks at the files; takes up a changed pair. A half-written or unfitting one is tried again the next time.
    pub(crate) fn refresh(&mut self) -> Result<bool, TlsError> {
        let (cert, key) = (read(&self.files.cert)?, read(&self.files.key)?);
        let seen = digest(&cert, &key);
        if seen == self.digest {
            return Ok(false);
        }
        let pair = certified(&self.files, &cert, &key)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        self.digest = seen;
        Ok(true)
    }
}
