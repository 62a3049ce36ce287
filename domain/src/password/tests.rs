use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::*;

fn cheap() -> Argon2Params {
    Argon2Params::new(64, 1, 1).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

#[test]
fn any_unicode_is_a_password() {
    for text in ["x", " ", "\t", "correct horse battery staple", "パスワード", "🔑🔑", "a\u{7f}b"] {
        assert_eq!(password(text).expose().expose(), text);
    }
    for text in ["a\0b", "a\rb", "a\nb"] {
        assert_eq!(Password::new(text), Err(NotAPassword::LineBreak));
    }
    assert_eq!(Password::new(""), Err(NotAPassword::Empty));
}

#[test]
fn length_counts_characters_after_nfc() {
    assert!(Password::new(&"🔑".repeat(1_024)).is_ok());
    assert!(Password::new(&"e\u{301}".repeat(1_024)).is_ok());
    assert_eq!(Password::new(&"a".repeat(1_025)), Err(NotAPassword::TooLong));
    assert_eq!(Password::new(&"a".repeat(1_000_000)), Err(NotAPassword::TooLong));
    assert_eq!(password("e\u{301}"), password("\u{e9}"));
}

#[test]
fn new_passwords_have_a_least_length() {
    let (seven, eight, fourteen, fifteen) = ("ä".repeat(7), "ä".repeat(8), "ä".repeat(14), "ä".repeat(15));
    assert_eq!(password(&seven).at_least(MIN_WITH_SECOND_FACTOR), Err(TooShort(8)));
    assert_eq!(password(&eight).at_least(MIN_WITH_SECOND_FACTOR), Ok(()));
    assert_eq!(password(&fourteen).at_least(MIN_WITHOUT_SECOND_FACTOR), Err(TooShort(15)));
    assert_eq!(password(&fifteen).at_least(MIN_WITHOUT_SECOND_FACTOR), Ok(()));
}

#[test]
fn json_becomes_a_password_or_a_message() {
    assert_eq!(serde_json::from_str::<Password>(r#""e\u0301x""#).unwrap(), password("\u{e9}x"));
    let refused = serde_json::from_str::<Password>(r#""secret\n""#).unwrap_err().to_string();
    assert!(refused.starts_with("must not contain line breaks") && !refused.contains("secret"), "{refused}");
    assert_eq!(format!("{:?}", password("hunter2")), "Password([secret])");
}

/// Made with the reference implementation (`phc-winner-argon2`, test.c, version 0x13, Argon2id).
#[test]
fn argon2id_known_answers() {
    let mut memory = HashMemory::new(cheap()).unwrap();
    for text in [
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ] {
        let hash = PasswordHash::parse(text).unwrap();
        assert!(verify(&password("password"), &hash, &mut memory).unwrap(), "{text}");
        assert!(!verify(&password("Password"), &hash, &mut memory).unwrap(), "{text}");
        assert_eq!(hash.text().expose(), text);
        assert!(hash.needs_rehash(Argon2Params::default()));
    }
    assert_eq!(memory.held().len(), 64, "what large hashes needed was given back");
}

#[test]
fn a_hash_survives_its_text() {
    let mut memory = HashMemory::new(cheap()).unwrap();
    let made = hash(&password("päss"), [7; 16], cheap(), &mut memory).unwrap();
    let text = made.text();
    assert!(text.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"));
    let read = PasswordHash::parse(text.expose()).unwrap();
    assert!(verify(&password("pa\u{308}ss"), &read, &mut memory).unwrap());
    assert!(!read.needs_rehash(cheap()));
    assert!(read.needs_rehash(Argon2Params::default()));
    assert_eq!(format!("{read:?}"), "[password hash]");
    let other = hash(&password("päss"), [8; 16], cheap(), &mut memory).unwrap();
    assert_ne!(other.text(), text, "the salt counts");
}

#[test]
fn every_character_of_a_long_password_counts() {
    let mut memory = HashMemory::new(cheap()).unwrap();
    let long = "a".repeat(1_023);
    let made = hash(&password(&format!("{long}b")), [7; 16], cheap(), &mut memory).unwrap();
    assert!(verify(&password(&format!("{long}b")), &made, &mut memory).unwrap());
    assert!(!verify(&password(&format!("{long}c")), &made, &mut memory).unwrap());
    assert!(!verify(&password(&long), &made, &mut memory).unwrap());
}

#[test]
fn what_is_no_hash_of_ours_is_refused() {
    let (salt, out) = (STANDARD_NO_PAD.encode([1; 16]), STANDARD_NO_PAD.encode([2; 32]));
    let phc = |front: &str| format!("{front}${salt}${out}");
    assert!(PasswordHash::parse(&phc("$argon2id$v=19$m=64,t=1,p=1")).is_ok());
    for (text, expected) in [
        (String::new(), NotAPasswordHash::Text),
        ("hunter2".to_owned(), NotAPasswordHash::Text),
        ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/".to_owned(), NotAPasswordHash::Text),
        (phc("$argon2id$v=19$m=64,t=1,p=1") + "$x", NotAPasswordHash::Text),
        (format!("$argon2id$v=19$m=64,t=1,p=1${salt}"), NotAPasswordHash::Text),
        (phc("$argon2i$v=19$m=64,t=1,p=1"), NotAPasswordHash::Algorithm),
        (phc("$argon2d$v=19$m=64,t=1,p=1"), NotAPasswordHash::Algorithm),
        (phc("$sha512$i=15"), NotAPasswordHash::Algorithm),
        (phc("$argon2id$v=16$m=64,t=1,p=1"), NotAPasswordHash::Algorithm),
        (phc("$argon2id$m=64,t=1,p=1"), NotAPasswordHash::Algorithm),
        (phc("$argon2id$v=19$m=1048577,t=1,p=1"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=4294967295,t=1,p=1"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=64,t=33,p=1"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=64,t=0,p=1"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=1024,t=1,p=17"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=7,t=1,p=1"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=64,t=1,p=1,data=AAAA"), NotAPasswordHash::Params),
        (phc("$argon2id$v=19$m=64,t=1,p=1,x=1"), NotAPasswordHash::Params),
        (format!("$argon2id$v=19$m=64,t=1,p=1${salt}${}", STANDARD_NO_PAD.encode([2; 12])), NotAPasswordHash::Length),
    ] {
        assert_eq!(PasswordHash::parse(&text).err(), Some(expected), "{text}");
    }
}

#[test]
fn a_decoy_matches_nothing_and_needs_the_same_memory() {
    let mut memory = HashMemory::new(cheap()).unwrap();
    let decoy = PasswordHash::decoy(cheap(), [3; 16]);
    assert!(decoy.text().expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    assert!(!verify(&password("x"), &decoy, &mut memory).unwrap());
}

#[test]
fn memory_is_used_again_and_wiped() {
    let mut memory = HashMemory::new(cheap()).unwrap();
    let first = memory.held().as_ptr();
    let made = hash(&password("x"), [7; 16], cheap(), &mut memory).unwrap();
    assert!(verify(&password("x"), &made, &mut memory).unwrap());
    assert_eq!(memory.held().as_ptr(), first, "no allocation");
    let dirty = |memory: &HashMemory| memory.held().iter().any(|block| block.as_ref().iter().any(|word| *word != 0));
    assert!(dirty(&memory));
    memory.wipe();
    assert!(!dirty(&memory));
}

#[test]
fn the_default_is_owasp_s_minimum() {
    assert_eq!(Ok(Argon2Params::default()), Argon2Params::new(19_456, 2, 1));
}
