//! What browsers report of a page that broke its content security policy, in both of their formats, cut down to what says
//! where: no query, no fragment, no sample of code, for those may hold secrets.
//!
//! Nothing of a report is believed: anybody can send one. It is bounded in number and length, and shown to admins as text.
//!
//! Source: Content Security Policy Level 3 §5.3 and §5.5, Reporting API §2.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::{Place, Sealable};
use crate::secret::Secret;

/// The media type of a single report (`report-uri`).
pub const SINGLE: &str = "application/csp-report";
/// The media type of a list of reports of every kind (`report-to`).
pub const LIST: &str = "application/reports+json";
/// How many reports of one body are looked at.
pub const REPORTS_MAX: usize = 20;
/// How many different ones a tenant keeps.
pub const KEPT_MAX: i64 = 200;
/// Most characters of each of its texts.
const CHARS_MAX: usize = 300;

/// What was blocked, or would have been, and where.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CspReport {
    /// The directive that forbade it, such as `script-src-elem`.
    pub directive: String,
    /// The origin and path of what was blocked, or a word for it, such as `inline`.
    pub blocked: String,
    /// The origin and path of the page.
    pub document: String,
    /// The origin and path of the script that did it, if there was one.
    #[serde(default)]
    pub source: Option<String>,
    /// Where in it.
    #[serde(default)]
    pub line: Option<u32>,
    /// Whether it was blocked (`enforce`) or only noted (`report`).
    pub is_enforced: bool,
}

impl CspReport {
    /// Where the report of the row with this id is sealed.
    #[must_use]
    pub const fn place(row: &[u8; 16]) -> Place<'_> {
        Place { table: "csp_report", column: "report_sealed", row }
    }

    /// Whether the page is one of this host, whatever its port: of other pages nobody has anything to say here.
    #[must_use]
    pub fn is_about(&self, host: &str) -> bool {
        let authority =
            self.document.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        authority.rsplit_once(':').map_or(authority, |(name, _)| name).eq_ignore_ascii_case(host)
    }

    /// What makes it the same as another one.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // texts and numbers: cannot fail
    }
}

/// It holds addresses of pages, which may be personal.
impl fmt::Debug for CspReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[CSP report]")
    }
}

impl Sealable for CspReport {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.identity())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        serde_json::from_slice(plaintext).ok()
    }
}

/// The text is no report of this media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no report of this media type")]
pub struct NotAReport;

/// The reports of one body, at most [`REPORTS_MAX`]. Those of a list that are about something else are left out.
///
/// # Errors
/// [`NotAReport`] for what is not JSON of the shape that belongs to the media type.
pub fn parse(media_type: &str, body: &[u8]) -> Result<Vec<CspReport>, NotAReport> {
    let value: Value = serde_json::from_slice(body).map_err(|_| NotAReport)?;
    if media_type == SINGLE {
        let report = value.get("csp-report").ok_or(NotAReport)?;
        return Ok(vec![single(report).ok_or(NotAReport)?]);
    }
    let reports = value.as_array().filter(|_| media_type == LIST).ok_or(NotAReport)?;
    let about_csp = reports.iter().filter(|report| report.get("type").and_then(Value::as_str) == Some("csp-violation"));
    let bodies = about_csp.filter_map(|report| report.get("body")).take(REPORTS_MAX);
    bodies.map(|body| listed(body).ok_or(NotAReport)).collect()
}

/// `{"document-uri", "effective-directive", …}`
fn single(report: &Value) -> Option<CspReport> {
    let text = |name: &str| report.get(name).and_then(Value::as_str);
    let directive =
        text("effective-directive").filter(|text| !text.is_empty()).or_else(|| text("violated-directive"))?;
    Some(CspReport {
        directive: word(directive),
        blocked: place(text("blocked-uri")?),
        document: place(text("document-uri")?),
        source: text("source-file").map(place).filter(|source| !source.is_empty()),
        line: number(report.get("line-number")),
        is_enforced: text("disposition") != Some("report"),
    })
}

/// `{"documentURL", "effectiveDirective", …}`
fn listed(report: &Value) -> Option<CspReport> {
    let text = |name: &str| report.get(name).and_then(Value::as_str);
    Some(CspReport {
        directive: word(text("effectiveDirective")?),
        blocked: place(text("blockedURL").unwrap_or_default()),
        document: place(text("documentURL")?),
        source: text("sourceFile").map(place).filter(|source| !source.is_empty()),
        line: number(report.get("lineNumber")),
        is_enforced: text("disposition") != Some("report"),
    })
}

fn number(value: Option<&Value>) -> Option<u32> {
    value.and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

/// The first word, in visible ASCII.
fn word(text: &str) -> String {
    let is_of_a_directive = |c: &char| c.is_ascii_lowercase() || *c == '-';
    text.split_whitespace().next().unwrap_or_default().chars().filter(is_of_a_directive).take(CHARS_MAX).collect()
}

/// An address without user information, query and fragment; anything else as it is, cut and in visible ASCII.
fn place(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let bare = match text.split_once("://").filter(|(scheme, _)| !scheme.contains(':')) {
        Some((scheme, rest)) => {
            let (authority, path) =
                rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
            let host = authority.rsplit('@').next().unwrap_or_default();
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        // `data:…` and `blob:…` are as long as what they hold.
        None => text.split_once(':').map_or(text, |(scheme, _)| scheme).to_owned(),
    };
    bare.chars().filter(char::is_ascii_graphic).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> CspReport {
        CspReport {
            directive: "script-src-elem".to_owned(),
            blocked: "inline".to_owned(),
            document: "https://acme.example.com/auth/reset".to_owned(),
            source: Some("https://acme.example.com/x.js".to_owned()),
            line: Some(7),
            is_enforced: true,
        }
    }

    #[test]
    fn both_formats_say_the_same() {
        let single = json!({ "csp-report": {
            "document-uri": "https://acme.example.com/auth/reset?token=secret#frag", "referrer": "https://a.test/?q",
            "violated-directive": "script-src-elem 'nonce-abc'", "effective-directive": "script-src-elem",
            "original-policy": "default-src 'none'", "disposition": "enforce", "blocked-uri": "inline",
            "source-file": "https://user:pass@acme.example.com/x.js?v=1", "line-number": 7, "status-code": 200,
            "script-sample": "alert(token)",
        }});
        let listed = json!([
            { "type": "deprecation", "body": {} },
            { "type": "csp-violation", "age": 1, "url": "https://acme.example.com/auth/reset", "user_agent": "x", "body": {
                "documentURL": "https://acme.example.com/auth/reset?token=secret", "effectiveDirective": "script-src-elem",
                "blockedURL": "inline", "sourceFile": "https://acme.example.com/x.js", "lineNumber": 7,
                "disposition": "enforce", "sample": "alert(token)", "statusCode": 200,
            }},
        ]);
        assert!(parse(SINGLE, single.to_string().as_bytes()).as_ref() == Ok(&vec![expected()]));
        assert!(parse(LIST, listed.to_string().as_bytes()).as_ref() == Ok(&vec![expected()]));
        assert_eq!(parse(SINGLE, listed.to_string().as_bytes()), Err(NotAReport));
        assert_eq!(parse(LIST, single.to_string().as_bytes()), Err(NotAReport));
        assert_eq!(parse(LIST, b"[]"), Ok(vec![]));
        assert!(CspReport::from_plaintext(expected().to_plaintext().expose()).as_ref() == Some(&expected()));
        assert_eq!(format!("{:?}", expected()), "[CSP report]");
    }

    #[test]
    fn what_is_not_of_the_shape_is_no_report() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "{\"csp-report\": []}",
            "{\"csp-report\": {\"document-uri\": 1}}",
            "{\"csp-report\"",
        ] {
            assert_eq!(parse(SINGLE, body.as_bytes()), Err(NotAReport), "{body}");
        }
        assert_eq!(parse(LIST, br#"[{"type": "csp-violation", "body": {}}]"#), Err(NotAReport));
        assert_eq!(parse("application/json", b"[]"), Err(NotAReport));
    }

    #[test]
    fn nothing_that_may_be_secret_or_endless_is_kept() {
        for (given, kept) in [
            ("data:text/html;base64,AAAA", "data"),
            ("blob:https://a.test/1", "blob"),
            ("https://a.test", "https://a.test"),
            ("https://u:p@a.test/b/c?d#e", "https://a.test/b/c"),
            ("eval", "eval"),
            ("https://a.test/\u{202e}x\r\ny", "https://a.test/xy"),
        ] {
            assert_eq!(place(given), kept, "{given}");
        }
        assert_eq!(place(&format!("https://a.test/{}", "a".repeat(9_000))).len(), CHARS_MAX);
        let many: Vec<_> = (0..50)
            .map(|n| {
                json!({ "type": "csp-violation", "body": {
            "documentURL": format!("https://a.test/{n}"), "effectiveDirective": "img-src" } })
            })
            .collect();
        assert_eq!(parse(LIST, json!(many).to_string().as_bytes()).map(|reports| reports.len()), Ok(REPORTS_MAX));
    }
}
