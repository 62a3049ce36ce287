//! Certificates while the server runs: files that change are read again, and what they hold is shown from then on; so is what
//! was issued by ACME.

use std::sync::Arc;
use std::time::Duration;

use freehold_actors::acme::{Issued, Showcase};
use freehold_http::certificates::{Certificate, Pem};
use freehold_http::serve::Tls;
use tokio_util::sync::CancellationToken;

use crate::clock::AMBIENT;
use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long before its end a certificate is warned of.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);

/// Follows the files until `stop`. What cannot be used changes nothing and is said once: the old certificates stay.
pub async fn follow(tls: Arc<Tls>, files: TlsFiles, stop: CancellationToken) {
    tell(&tls);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut known = files.stamp();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = files.stamp();
        if now == known {
            continue;
        }
        match files.reread() {
            Ok(certificates) => {
                tls.replace_files(&certificates);
                tracing::info!("the certificates were read again");
                tell(&tls);
            }
            Err(fault) => tracing::error!(fault, "a certificate was refused: those in use stay"),
        }
        known = now;
    }
}

/// Shows what is issued by ACME where no file is good for the host.
pub struct Shown(pub Arc<Tls>);

impl Showcase for Shown {
    fn has_its_own(&self, host: &str) -> bool {
        self.0.certificates().have_file_for(host)
    }

    fn change(&self, fresh: Vec<Issued>, gone: &[String]) {
        let read = |Issued { host, chain, key }: Issued| match Certificate::from_pem(&Pem { chain, key }) {
            Ok(certificate) => Some((host.into(), certificate)),
            Err(error) => {
                tracing::error!(acme.host = host, %error, "an issued certificate cannot be shown");
                None
            }
        };
        let fresh: Vec<_> = fresh.into_iter().filter_map(read).collect();
        self.0.change_issued(&fresh, gone);
    }
}

/// Says until when each certificate of files is good.
fn tell(tls: &Tls) {
    for (number, certificate) in tls.certificates().of_files().enumerate() {
        let not_after = certificate.not_after();
        let seconds = i32::try_from(not_after.as_secs() - AMBIENT.wall().as_secs()).unwrap_or(i32::MAX);
        metrics::gauge!("freehold_tls_certificate_expires_seconds", "certificate" => number.to_string())
            .set(f64::from(seconds));
        if AMBIENT.wall().plus(WARN_BEFORE) > not_after {
            tracing::warn!(certificate = number, seconds_left = seconds, "a certificate ends soon, or has ended");
        }
    }
}
