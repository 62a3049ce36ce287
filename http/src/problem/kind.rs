//! The table of every problem: one row is its slug, status, title and the explanation that its page shows.

use axum::http::StatusCode;

macro_rules! kinds {
    ($($name:ident $slug:literal $status:ident $title:literal $explanation:literal;)*) => {
        /// What went wrong. The slug is part of the public contract: it is never renamed and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $explanation] $name,)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The last segment of the problem's `type`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The status that the answer carries.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The short name for people: always the same for one kind (RFC 9457 §3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do, as `GET /problems/{slug}` shows it.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }
        }
    };
}

kinds! {
    Validation "validation" BAD_REQUEST "The request is not valid"
        "Something in the request cannot be accepted. `errors` names each field and what is wrong with it; correct them and send the request again.";
    Unauthenticated "unauthenticated" UNAUTHORIZED "Sign in first"
        "The request carries no credential that is valid now. With an access token: refresh it and try again; otherwise sign in.";
    InvalidCredentials "invalid-credentials" UNAUTHORIZED "The credentials are wrong"
        "The e-mail address, password or code is not right. The answer is the same whether or not the account exists.";
    SecondFactorRequired "second-factor-required" UNAUTHORIZED "A second factor is required"
        "The first factor was right. Send `challenge` with a code to finish; it can be used once, within five minutes.";
    Forbidden "forbidden" FORBIDDEN "Not allowed"
        "The credential is valid, but its role does not allow this.";
    Csrf "csrf" FORBIDDEN "Refused: wrong origin"
        "A request that changes something must come from a page of the same host, and its `Origin` header must say so.";
    TenantSuspended "tenant-suspended" FORBIDDEN "This tenant is suspended"
        "The operator of this platform has suspended the tenant. Nothing is served until it is resumed.";
    TenantReadOnly "tenant-read-only" FORBIDDEN "This tenant is read-only"
        "The tenant can be read but not changed at the moment.";
    Misdirected "misdirected-request" MISDIRECTED_REQUEST "This connection is for other hosts"
        "The certificate that this connection began with is not for the host of the request. Open another connection for it.";
    NotFound "not-found" NOT_FOUND "Not found"
        "There is nothing at this address, or it belongs to somebody else.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "Method not allowed"
        "This address exists, but not with this method. The `Allow` header lists those it has.";
    RequestTimeout "request-timeout" REQUEST_TIMEOUT "The request took too long to arrive"
        "The body of the request did not arrive in time. Send it again on a new connection.";
    Conflict "conflict" CONFLICT "Conflict"
        "The request collides with the current state: it is taken, or something else changed it at the same moment.";
    OauthDenied "oauth-denied" FORBIDDEN "The sign-in was not allowed at the provider"
        "The provider says that consent was not given. Begin again to allow it, or sign in another way.";
    OauthFailed "oauth-failed" FORBIDDEN "The provider's answer was not accepted"
        "What the provider sent back does not belong to a sign-in that was begun here, or cannot be verified. Begin again.";
    OauthExpired "oauth-expired" BAD_REQUEST "This sign-in is over"
        "It was finished before, took too long, or was begun in another browser. Begin again.";
    OauthNotLinked "oauth-not-linked" CONFLICT "An account has this e-mail address"
        "Accounts at providers are never joined by their e-mail address. Sign in to the account that is there and link the provider to it.";
    OauthNotAdmitted "oauth-not-admitted" FORBIDDEN "This account is not admitted here"
        "No member signs in with this account at the provider, and it does not open a new one here. Ask an admin of the tenant.";
    OauthUnverified "oauth-email-unverified" FORBIDDEN "The provider has not verified an e-mail address"
        "A new account needs an address that the provider has verified. Verify it there and begin again.";
    IntegrationExpired "integration-expired" CONFLICT "The connection is over"
        "The provider says that what it gave out is not good any more. It is not called until an admin connects it again.";
    QuotaReached "quota-reached" FORBIDDEN "The plan allows no more"
        "The tenant has as many of these as its plan allows: `quota` names them, `limit` says how many, `plan` is the plan. Take one away, or change the plan.";
    AlreadySubscribed "already-subscribed" CONFLICT "There is a subscription"
        "The tenant has a subscription. It is changed, paid and cancelled in the portal, and not bought a second time.";
    PayoutAccountStays "payout-account-stays" CONFLICT "The account cannot be closed"
        "The provider of payments does not close the account: there is money in it, or on its way.";
    PayloadTooLarge "payload-too-large" PAYLOAD_TOO_LARGE "The body is too large"
        "Bodies are limited to 16 KiB under /v1/auth/ and to 1 MiB elsewhere.";
    UriTooLong "uri-too-long" URI_TOO_LONG "The address is too long"
        "The path and query of a request are limited to 8 KiB.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "Unsupported media type"
        "Send JSON: `Content-Type: application/json`, in UTF-8 and without a content encoding.";
    RateLimited "rate-limited" TOO_MANY_REQUESTS "Too many requests"
        "A limit has been reached. `tier` names it; try again after `retry_after_s` seconds.";
    AccountLocked "account-locked" TOO_MANY_REQUESTS "The account is locked"
        "Too many sign-ins in a row have failed. Try again after `retry_after_s` seconds.";
    HeadersTooLarge "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE "The headers are too large"
        "The headers of a request are limited to 32 KiB and 100 fields.";
    Internal "internal" INTERNAL_SERVER_ERROR "Something went wrong"
        "This is our fault. Give the request id to support.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "Temporarily unavailable"
        "Something the server depends on is away. Try again after the time in `Retry-After`.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE "Busy"
        "The server has more to do than it can do now and refused this request before it began. Try again after the time in `Retry-After`.";
    TenantDraining "tenant-draining" SERVICE_UNAVAILABLE "This tenant is being moved"
        "The tenant accepts no new requests while it finishes those it has. Try again after the time in `Retry-After`.";
    TenantHeld "tenant-held" SERVICE_UNAVAILABLE "This tenant is on hold"
        "The operator of this platform holds the tenant for maintenance. Try again after the time in `Retry-After`.";
    TenantQuarantined "tenant-quarantined" SERVICE_UNAVAILABLE "This tenant is being restarted"
        "Something in this tenant failed repeatedly and it is kept apart until it has recovered; no other tenant is affected.";
}

impl Kind {
    /// The kind with this slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_and_found_again() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_slug(kind.slug()), Some(*kind));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            assert!(kind.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
        assert_eq!(Kind::from_slug("nothing"), None);
    }
}
