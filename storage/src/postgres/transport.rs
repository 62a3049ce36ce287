//! How the way to the database is protected: off this machine, by TLS whose certificate is looked at.

use std::net::IpAddr;
use std::str::FromStr as _;

use freehold_domain::secret::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::OpenError;

/// How the way to a database is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// It does not leave this machine: a socket, or a loopback address.
    ThisMachine,
    /// By TLS, with a certificate that is good for the host (`verify-full`).
    Verified,
    /// By less, because the address says so.
    Unverified,
}

/// How the way to `url` is protected. An address off this machine that does not say how is verified.
///
/// # Errors
/// [`OpenError::Address`] for what is no address of a database.
pub fn transport(url: &Secret<String>) -> Result<Transport, OpenError> {
    let options = protected(url)?;
    Ok(if matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
        Transport::Verified
    } else if is_this_machine(&options) {
        Transport::ThisMachine
    } else {
        Transport::Unverified
    })
}

/// The options of `url`, with the strictest protection where it leaves this machine and does not say how.
pub(super) fn protected(url: &Secret<String>) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| OpenError::Address)?;
    let is_said = ["sslmode=", "ssl-mode="].iter().any(|name| url.expose().contains(name));
    let is_left = is_said || is_this_machine(&options);
    Ok(if is_left { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
}

fn is_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_loopback || host.starts_with('/') || options.get_socket().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_verified_unless_the_address_says_otherwise() {
        let of = |rest: &str| transport(&Secret::new(format!("postgres://{rest}"))).expect(rest);
        for (rest, expected) in [
            ("u:p@127.0.0.1:5432/db", Transport::ThisMachine),
            ("u@localhost/db?sslmode=disable", Transport::ThisMachine),
            ("u@[::1]/db", Transport::ThisMachine),
            ("u@%2Fvar%2Frun%2Fpostgresql/db", Transport::ThisMachine),
            ("u@db.example.com/db", Transport::Verified),
            ("u@10.0.0.1/db?sslrootcert=/etc/ca.pem", Transport::Verified),
            ("u@db.example.com/db?sslmode=verify-full", Transport::Verified),
            ("u@localhost/db?sslmode=verify-full", Transport::Verified),
            ("u@db.example.com/db?sslmode=verify-ca", Transport::Unverified),
            ("u@db.example.com/db?sslmode=require", Transport::Unverified),
            ("u@db.example.com/db?sslmode=prefer", Transport::Unverified),
            ("u@db.example.com/db?sslmode=disable", Transport::Unverified),
            ("u@localhost.example.com/db?ssl-mode=allow", Transport::Unverified),
        ] {
            assert_eq!(of(rest), expected, "{rest}");
        }
        assert!(transport(&Secret::new("postgres://u@[::1".to_owned())).is_err());
    }
}
