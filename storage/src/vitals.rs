//! What an operator asks of a PostgreSQL server before anything is served from it: its clock, and who may read along.

use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use sqlx::postgres::PgSslMode;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::error::{OpenError, StoreError};
use crate::postgres;
use crate::tenant_tx::STORE_TIMEOUT;

const CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// How a connection to a database is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// It does not leave this machine.
    Local,
    /// TLS, with a certificate that is checked.
    Verified,
    /// TLS, with whoever answers.
    Encrypted,
    /// TLS where the server offers it, or not at all.
    Open,
}

/// How a connection to the database at this address is kept from others, by the address alone.
///
/// # Errors
/// [`OpenError::Address`]
pub fn privacy(url: &Secret<String>) -> Result<Privacy, OpenError> {
    let options = postgres::options(url)?;
    let host = options.get_host();
    let is_address_here = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_address_here {
        return Ok(Privacy::Local);
    }
    Ok(match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => Privacy::Verified,
        PgSslMode::Require => Privacy::Encrypted,
        PgSslMode::Prefer | PgSslMode::Allow | PgSslMode::Disable => Privacy::Open,
    })
}

/// What the database's clock says.
///
/// # Errors
/// [`OpenError`]
pub async fn clock(url: &Secret<String>) -> Result<UnixMs, OpenError> {
    let options = postgres::options(url)?;
    let asked = async {
        let mut connection = options.connect().await?;
        let told = sqlx::query(CLOCK).persistent(false).fetch_one(&mut connection).await?.try_get(0)?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(UnixMs::new(told))
    };
    tokio::time::timeout(STORE_TIMEOUT, asked).await.map_err(StoreError::unavailable)?.map_err(OpenError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_who_may_read_along() {
        let of = |url: &str| privacy(&Secret::new(url.to_owned())).ok();
        assert_eq!(of("postgres://a@127.0.0.1/d"), Some(Privacy::Local));
        assert_eq!(of("postgres://a@localhost/d"), Some(Privacy::Local));
        assert_eq!(of("postgres://a@[::1]/d"), Some(Privacy::Local));
        assert_eq!(of("postgres://a@/d?host=/run/postgresql"), Some(Privacy::Local));
        assert_eq!(of("postgres://a@db.example.com/d"), Some(Privacy::Open));
        assert_eq!(of("postgres://a@db.example.com/d?sslmode=disable"), Some(Privacy::Open));
        assert_eq!(of("postgres://a@db.example.com/d?sslmode=require"), Some(Privacy::Encrypted));
        assert_eq!(of("postgres://a@db.example.com/d?sslmode=verify-full"), Some(Privacy::Verified));
        assert_eq!(of("nonsense"), None);
    }
}
