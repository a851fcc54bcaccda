//! The certificate of TLS: from files, and from new ones when they change; or a self-signed one in development.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// TLS as it is to be spoken now.
pub struct Tls {
    config: Arc<ServerConfig>,
    files: Option<Files>,
}

struct Files {
    chain: PathBuf,
    key: PathBuf,
    changed: Option<SystemTime>,
    looked: Instant,
}

impl Tls {
    /// TLS with a certificate chain and a key from PEM files.
    ///
    /// # Errors
    /// The file that cannot be used, by name.
    pub fn from_files(chain: PathBuf, key: PathBuf, now: Instant) -> Result<Tls, String> {
        let config = load(&chain, &key)?;
        let changed = changed(&chain);
        let looked = now;
        Ok(Tls {
            config,
            files: Some(Files {
                chain,
                key,
                changed,
                looked,
            }),
        })
    }

    /// TLS with a certificate of our own for these names.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn self_signed(host: &str, addresses: &[IpAddr]) -> Result<Tls, String> {
        let mut names: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        names.push(host.to_owned());
        names.push("localhost".to_owned());
        names.dedup();
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
        let config = configuration(vec![made.cert.der().clone()], key)?;
        Ok(Tls {
            config,
            files: None,
        })
    }

    /// The configuration of the next connection. Files that changed are read; if they cannot be used, the last
    /// good certificate stays.
    pub fn config(&mut self, now: Instant) -> Arc<ServerConfig> {
        if let Some(files) = &mut self.files
            && now.saturating_duration_since(files.looked) >= LOOK_EVERY
        {
            files.looked = now;
            let changed = changed(&files.chain);
            if changed != files.changed {
                files.changed = changed;
                match load(&files.chain, &files.key) {
                    Ok(config) => self.config = config,
                    Err(problem) => tracing::error!("the new certificate is not used: {problem}"),
                }
            }
        }
        self.config.clone()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|about| about.modified()).ok()
}

fn load(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let problem =
        |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| problem(key, &error))?;
    configuration(certificates, private).map_err(|error| problem(chain, &error))
}

fn configuration(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, String> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_and_files_are_used_and_bad_files_named() {
        let host = "turn.example.org";
        Tls::self_signed(host, &["127.0.0.1".parse().unwrap()]).unwrap();
        let directory =
            std::env::temp_dir().join(format!("switchyard-turn-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let start = Instant::now();
        let mut tls = Tls::from_files(chain.clone(), key.clone(), start).unwrap();
        let first = tls.config(start);
        // A broken renewal does not take the certificate away.
        std::fs::write(&chain, "nothing").unwrap();
        let changed = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options()
            .write(true)
            .open(&chain)
            .unwrap()
            .set_modified(changed)
            .unwrap();
        assert!(Arc::ptr_eq(&first, &tls.config(start + LOOK_EVERY)));
        let problem = Tls::from_files(chain, key, start).err().unwrap();
        assert!(problem.contains("chain.pem"), "{problem}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
