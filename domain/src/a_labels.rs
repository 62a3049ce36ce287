//! The one text of a domain name: A-labels in lower case (RFC 5890 §2.3.2.1), as UTS #46 makes them.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// The A-labels of a name. `None` for what the DNS could not hold: empty and overlong labels, a dot at the end, characters
/// other than letters, digits and hyphens (STD 3), Punycode that is none.
pub(crate) fn a_labels(name: &str) -> Option<String> {
    let labels =
        Uts46::new().to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    labels.ok().map(std::borrow::Cow::into_owned)
}
