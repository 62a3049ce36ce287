//! API keys: what is one has one text, and what differs in a character is none.
#![no_main]

use freehold_domain::api_key::ApiKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<ApiKey>() {
        assert_eq!(key.text().expose(), text);
        assert!(text[..text.len() - 1].parse::<ApiKey>().is_err(), "its checksum covers the last character");
    }
});
