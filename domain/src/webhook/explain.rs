//! What may be wrong where no secret fits: the secret is another thing, something wrote the body anew, the URL is not the one
//! that was signed. Only a hint: each is tried with the tenant's own secrets, and whoever sent the request is not told.

use super::url::Url;
use super::{Delivery, Refusal, Rule, Secrets, WrongKind, claim, settle};

/// Bytes of a body that is written in other ways, to see whether one fits.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub(super) fn explain(rule: Rule, delivery: &Delivery<'_>, secrets: &Secrets<'_>) -> Option<Refusal> {
    let fits = |delivery: &Delivery<'_>| claim(rule, delivery).is_ok_and(|claim| settle(&claim, secrets).is_some());
    if delivery.body.len() <= BODY_BYTES_MAX {
        let other = other_bodies(delivery.body);
        if other.iter().any(|body| fits(&Delivery { body, ..*delivery })) {
            return Some(Refusal::BodyWrittenAnew);
        }
        let urls = Url::of(delivery.url).map(|url| url.mistaken()).unwrap_or_default();
        if urls.iter().any(|url| fits(&Delivery { url, ..*delivery })) {
            return Some(Refusal::OtherUrl);
        }
    }
    WrongKind::of(rule.provider(), secrets.newest).map(Refusal::WrongKind)
}

/// The body as what reads and writes JSON, or edits text, may have found it.
fn other_bodies(body: &[u8]) -> Vec<Vec<u8>> {
    let trimmed = body.trim_ascii().to_vec();
    let lines: Vec<&[u8]> =
        body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    let (unix, dos) = (lines.join(&b"\n"[..]), lines.join(&b"\r\n"[..]));
    let mut bodies = vec![[&trimmed, &b"\n"[..]].concat(), trimmed, unix, dos];
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        bodies.extend([compact(body), indented(body)]);
    }
    bodies.retain(|other| other != body);
    bodies
}

/// JSON without white space between its tokens; numbers, escapes and order stay.
fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    tokens(json, |byte, in_text| {
        if in_text || !byte.is_ascii_whitespace() {
            out.push(byte);
        }
    });
    out
}

/// JSON as `JSON.stringify` indents it by two.
fn indented(json: &[u8]) -> Vec<u8> {
    let json = compact(json);
    let (mut out, mut depth, mut before) = (Vec::with_capacity(2 * json.len()), 0_usize, 0_u8);
    tokens(&json, |byte, in_text| {
        let closes = !in_text && matches!(byte, b'}' | b']');
        let (opened, followed) = (matches!(before, b'{' | b'['), before == b',');
        depth = if closes { depth.saturating_sub(1) } else { depth };
        if (opened && !closes) || followed || (closes && !opened) {
            out.push(b'\n');
            // Deeper than anybody nests there is nothing to be found, and room to be lost.
            out.extend(std::iter::repeat_n(b' ', 2 * depth.min(32)));
        }
        out.push(byte);
        match byte {
            b'{' | b'[' if !in_text => depth += 1,
            b':' if !in_text => out.push(b' '),
            _ => {}
        }
        before = if in_text { 0 } else { byte };
    });
    out
}

/// Every byte of JSON, and whether it is within a text, quotes included.
fn tokens(json: &[u8], mut each: impl FnMut(u8, bool)) {
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        let is_quote = *byte == b'"' && !escaped;
        each(*byte, in_text || is_quote);
        in_text ^= is_quote;
        escaped = in_text && *byte == b'\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_others_write_it_and_nothing_in_its_texts_changes() {
        let text = br#"{ "a" : [1.50, {}, [ ], "x: \"{y, }\\"] ,"b":{"c":null}}"#;
        assert_eq!(String::from_utf8(compact(text)).unwrap(), r#"{"a":[1.50,{},[],"x: \"{y, }\\"],"b":{"c":null}}"#);
        let wanted = "{\n  \"a\": [\n    1.50,\n    {},\n    [],\n    \"x: \\\"{y, }\\\\\"\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}";
        assert_eq!(String::from_utf8(indented(text)).unwrap(), wanted);
        for plain in ["[]", "1", "\"a\"", ""] {
            assert_eq!((compact(plain.as_bytes()), indented(plain.as_bytes())), (plain.into(), plain.into()));
        }
    }
}
