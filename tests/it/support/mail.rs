//! A letter as it was sent, read back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    head: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Mail {
    /// Reads a message of two parts, text and HTML.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let whole = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        let head = headers(head);
        let kind = value(&head, "Content-Type");
        let boundary = kind.split_once("boundary=\"").unwrap().1.split('"').next().unwrap();
        let line = format!("--{boundary}");
        let mut parts = body.split(&line).skip(1).map(str::to_owned);
        let (text, html) =
            (decoded(&parts.next().unwrap(), "text/plain"), decoded(&parts.next().unwrap(), "text/html"));
        assert!(parts.next().unwrap().starts_with("--"), "{whole}");
        Self { head, text, html }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        value(&self.head, name)
    }

    /// The token of the link to this page.
    #[track_caller]
    pub(crate) fn token(&self, page: &str) -> String {
        let front = format!("{page}#token=");
        let (_, rest) = self.text.split_once(&front).unwrap_or_else(|| panic!("no {front}: {self:?}"));
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

#[track_caller]
fn value<'a>(head: &'a [(String, String)], name: &str) -> &'a str {
    let mut lines = head.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let line = lines.next().unwrap_or_else(|| panic!("no {name}: {head:?}"));
    assert!(lines.next().is_none(), "{name} is there twice: {head:?}");
    &line.1
}

fn headers(head: &str) -> Vec<(String, String)> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let pairs = unfolded.lines().map(|line| line.split_once(':').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// The text of a part of this kind.
fn decoded(part: &str, kind: &str) -> String {
    let (head, body) = part.trim_start_matches("\r\n").split_once("\r\n\r\n").unwrap();
    let head = headers(head);
    assert!(value(&head, "Content-Type").starts_with(kind), "{head:?}");
    let bytes = match value(&head, "Content-Transfer-Encoding") {
        "7bit" | "8bit" => body.as_bytes().to_vec(),
        "quoted-printable" => quoted_printable(body),
        "base64" => STANDARD.decode(body.replace("\r\n", "")).unwrap(),
        other => panic!("{other}"),
    };
    String::from_utf8(bytes).unwrap()
}

/// RFC 2045 §6.7.
fn quoted_printable(body: &str) -> Vec<u8> {
    let joined = body.replace("=\r\n", "");
    let mut pieces = joined.split('=');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}
