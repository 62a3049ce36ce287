//! Cookies: a value is a part of what was sent, and one name has one value.
#![no_main]

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use freehold_domain::refresh_token::RefreshToken;
use freehold_http::caller::{REFRESH_COOKIE, cookie};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(8) {
        if let Ok(line) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, line);
        }
    }
    let Ok(Some(value)) = cookie(&headers, REFRESH_COOKIE) else { return };
    let pair = format!("{REFRESH_COOKIE}={value}");
    let whole = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).collect::<Vec<_>>().join(";");
    assert!(!value.contains(';') && whole.contains(&pair), "{value:?}");
    if let Ok(token) = value.parse::<RefreshToken>() {
        assert_eq!(token.text().expose(), &value);
    }
    headers.append(COOKIE, HeaderValue::from_str(&pair).expect("it was in a header"));
    assert!(cookie(&headers, REFRESH_COOKIE).is_err(), "a second one");
});
