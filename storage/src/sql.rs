//! Constant SQL texts whose parameters are counted at compile time, and the values bound to them.
//!
//! One text serves both engines, so a text that only one of them understands, or that names the tenant, does not
//! compile.

use std::fmt;

use freehold_domain::id::{
    ApiKeyId, AuditId, CspReportId, FamilyId, IdentityId, InvitationId, MailId, MemberId, NodeId, SecurityReportId,
    SigningKeyId, TenantId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId,
};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use uuid::Uuid;

/// A constant SQL text with exactly the parameters `$1` to `$N`.
///
/// ```
/// use freehold_storage::sql::Sql;
/// const BY_ID: Sql<1> = Sql::new("SELECT role FROM member WHERE id = $1");
/// ```
/// A wrong count, a gap, and what one engine alone understands do not compile:
/// ```compile_fail
/// # use freehold_storage::sql::Sql;
/// const BY_ID: Sql<2> = Sql::new("SELECT role FROM member WHERE id = $1");
/// ```
/// ```compile_fail
/// # use freehold_storage::sql::Sql;
/// const GAP: Sql<2> = Sql::new("SELECT role FROM member WHERE id = $1 AND role = $3");
/// ```
/// ```compile_fail
/// # use freehold_storage::sql::Sql;
/// const TENANT: Sql<1> = Sql::new("SELECT role FROM member WHERE Tenant_ID = $1");
/// ```
/// ```compile_fail
/// # use freehold_storage::sql::Sql;
/// const CAST: Sql<1> = Sql::new("SELECT role FROM member WHERE id = $1::uuid");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sql<const N: usize>(&'static str);

impl<const N: usize> Sql<N> {
    /// Checks `text`; made for `const` items, so that a mistake is a compile error.
    ///
    /// # Panics
    /// When the parameters of `text` are not exactly `$1` to `$N` (63 at most), or it has `tenant_id`, `::` or `?`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(N < 64, "a statement has 63 parameters at most");
        let mut used = 0_u64;
        let mut rest = text.as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            assert!(*byte != b'?', "parameters are $1 to $N: `?` is understood by one engine alone");
            assert!(!starts_with(rest, b"::"), "a cast is CAST(x AS type): `::` is understood by one engine alone");
            assert!(!starts_with(rest, b"tenant_id"), "no query names the tenant");
            if *byte == b'$' {
                let number = leading_number(tail);
                assert!(number >= 1 && number <= N, "a parameter is outside of $1 to $N");
                used |= 1 << (number - 1);
            }
            rest = tail;
        }
        assert!(used == (1 << N) - 1, "a parameter of $1 to $N is not used");
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.0
    }

    /// This text under its `name`, for lists of all statements.
    #[must_use]
    pub const fn statement(self, name: &'static str) -> Statement {
        Statement { name, text: self.0, parameters: N }
    }
}

/// Whether `text` begins with `prefix`, which is lower case, in any case.
const fn starts_with(mut text: &[u8], mut prefix: &[u8]) -> bool {
    while let Some((wanted, prefix_tail)) = prefix.split_first() {
        let Some((byte, text_tail)) = text.split_first() else { return false };
        if byte.to_ascii_lowercase() != *wanted {
            return false;
        }
        (text, prefix) = (text_tail, prefix_tail);
    }
    true
}

/// The decimal number at the start of `text`; zero when there is none.
const fn leading_number(mut text: &[u8]) -> usize {
    let mut number = 0_usize;
    while let Some((digit @ b'0'..=b'9', tail)) = text.split_first() {
        number = number * 10 + (*digit - b'0') as usize;
        text = tail;
    }
    number
}

/// A statement of this crate as the tests see it.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Module and constant.
    pub name: &'static str,
    /// The SQL text.
    pub text: &'static str,
    /// How many parameters it has.
    pub parameters: usize,
}

/// A value bound to a parameter. Its variants are the column types that both engines share; `None` is a typed NULL.
#[derive(Clone)]
pub enum Value {
    /// `uuid` or `BLOB`.
    Uuid(Option<Uuid>),
    /// `bigint` or `INTEGER`.
    Int(Option<i64>),
    /// `text` or `TEXT`.
    Text(Option<String>),
    /// `bytea` or `BLOB`.
    Bytes(Option<Vec<u8>>),
}

/// Shows the type alone: values can be personal.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uuid(_) => "Uuid",
            Self::Int(_) => "Int",
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
        })
    }
}

macro_rules! values {
    ($($from:ty => $variant:ident, |$value:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant(Some($to))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map(|$value| $to))
            }
        }
    )*};
}

values! {
    Uuid => Uuid, |id| id;
    TenantId => Uuid, |id| id.uuid();
    MemberId => Uuid, |id| id.uuid();
    FamilyId => Uuid, |id| id.uuid();
    SigningKeyId => Uuid, |id| id.uuid();
    NodeId => Uuid, |id| id.uuid();
    InvitationId => Uuid, |id| id.uuid();
    CspReportId => Uuid, |id| id.uuid();
    SecurityReportId => Uuid, |id| id.uuid();
    IdentityId => Uuid, |id| id.uuid();
    AuditId => Uuid, |id| id.uuid();
    MailId => Uuid, |id| id.uuid();
    ApiKeyId => Uuid, |id| id.uuid();
    WebhookEventId => Uuid, |id| id.uuid();
    WebhookDeliveryId => Uuid, |id| id.uuid();
    WebhookEndpointId => Uuid, |id| id.uuid();
    i64 => Int, |number| number;
    UnixMs => Int, |time| time.get();
    String => Text, |text| text;
    &str => Text, |text| text.to_owned();
    &Secret<String> => Text, |text| text.expose().clone();
    Vec<u8> => Bytes, |bytes| bytes;
    &[u8] => Bytes, |bytes| bytes.to_vec();
}

/// The arguments of a statement as an array of [`Value`], whose length the statement's type demands.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}

/// Declares a module's statements as private constants, `NAME (parameters) = "text";` each, and `ALL`, their list.
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident ($count:literal) = $text:expr;)+) => {
        $($(#[$doc])* const $name: $crate::sql::Sql<$count> = $crate::sql::Sql::new($text);)+

        /// Every statement of this module.
        pub(crate) const ALL: &[$crate::sql::Statement] =
            &[$($name.statement(concat!(module_path!(), "::", stringify!($name)))),+];
    };
}
pub(crate) use queries;
