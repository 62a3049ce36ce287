//! Certificates while the server runs: files that change are read again, and what they hold is shown from then on.

use std::sync::Arc;
use std::time::Duration;

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
                tls.replace(certificates);
                tracing::info!("the certificates were read again");
                tell(&tls);
            }
            Err(fault) => tracing::error!(fault, "a certificate was refused: those in use stay"),
        }
        known = now;
    }
}

/// Says until when each certificate is good.
fn tell(tls: &Tls) {
    for (number, certificate) in tls.certificates().iter().enumerate() {
        let not_after = certificate.not_after();
        let seconds = i32::try_from(not_after.as_secs() - AMBIENT.wall().as_secs()).unwrap_or(i32::MAX);
        metrics::gauge!("freehold_tls_certificate_expires_seconds", "certificate" => number.to_string())
            .set(f64::from(seconds));
        if AMBIENT.wall().plus(WARN_BEFORE) > not_after {
            tracing::warn!(certificate = number, seconds_left = seconds, "a certificate ends soon, or has ended");
        }
    }
}
